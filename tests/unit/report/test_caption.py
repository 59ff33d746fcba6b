import numpy as np
from PIL import Image, ImageDraw

from gancli.report import caption, lettering


def test_caption_gives_kimg_and_epoch_in_a_fixed_width():
    assert caption.format_moment(12_800, 240_000, 4500) == "\u200712.8 kimg · epoch \u20072.8"
    assert caption.format_moment(240_000, 240_000, 4500) == "240.0 kimg · epoch 53.3"
    assert caption.format_moment(500, 9_000, None) == "0.5 kimg"


def test_counting_moves_nothing_but_digits():
    def ink(nimg):
        return caption.draw_caption(560, "", caption.format_moment(nimg, 240_000, 4500), 0)

    early, later = ink(1_100), ink(8_800)
    digits = [np.flatnonzero((ink(nimg) != early).any(axis=0)) for nimg in (1_200, 2_100)]
    changed = np.flatnonzero((early != later).any(axis=0))
    assert 0 < len(changed) <= 4 * 12
    assert all(len(columns) for columns in digits)
    wide = np.flatnonzero(
        (ink(240_000) != lettering.PAPER)[: -caption.draw_caption(560, "", "", 0).shape[0] // 4].any(axis=0)
    )
    assert wide.max() < 560 and wide.min() > 280


def test_a_figure_space_is_as_wide_as_a_digit():
    draw = ImageDraw.Draw(Image.new("L", (100, 30)))
    for size in (15, 18, 24):
        starts = [
            caption.draw_text_right(draw, (99, 20), text, lettering.load_font(size))
            for text in ("1.5", "71.5", "\u20071.5")
        ]
        assert starts[0] > starts[1] == starts[2]


def test_bar_fills_with_progress():
    def filled(done):
        return int((caption.draw_caption(560, "a", "b", done)[-1] == lettering.INK).sum())

    assert [filled(done) for done in (0, 0.25, 1)] == [0, 140, 560]


def test_a_first_step_too_small_for_the_bar_leaves_it_empty() -> None:
    empty, first = (caption.draw_caption(420, "quick", "0.0 kimg", done) for done in (0.0, 1e-4))
    assert np.array_equal(empty, first)
    assert not np.array_equal(empty, caption.draw_caption(420, "quick", "0.0 kimg", 0.01))
