import numpy as np
import pytest

from gancli.errors import ContractError, RunError
from gancli.files import image_io
from gancli.report import lettering, pairs


def some_pairs(n, shape=(28, 28)):
    draws = np.random.default_rng(0)
    return [tuple(draws.integers(0, 256, (2, *shape), dtype=np.uint8)) for _ in range(n)]


def captions(n):
    return [f"seed {i} · 0.43" for i in range(n)]


@pytest.fixture
def drawn(tmp_path):
    def draw(some, title="quick: most like training images", words=None):
        path = tmp_path / "pairs.png"
        pairs.write_pairs(path, some, captions(len(some)) if words is None else words, title)
        return image_io.read_png(path)

    return draw


def corner(picture, tile):
    """Row and column where the picture shows the tile."""
    rows, columns = (picture.shape[i] - tile.shape[i] + 1 for i in (0, 1))
    spots = [
        (y, x)
        for y, x in zip(*np.nonzero((picture[:rows, :columns] == tile[0, 0]).all(axis=-1)), strict=True)
        if np.array_equal(picture[y : y + tile.shape[0], x : x + tile.shape[1]], tile)
    ]
    assert len(spots) == 1
    return int(spots[0][0]), int(spots[0][1])


def colour(picture):
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


@pytest.mark.parametrize(("shape", "scale"), [((8, 8), 14), ((28, 28), 4), ((32, 32, 3), 4), ((256, 256, 3), 1)])
def test_every_pair_is_shown_enlarged_generated_image_left(drawn, shape, scale):
    some = some_pairs(5, shape)
    picture = drawn(some)
    spots = [[corner(picture, colour(image_io.enlarge_pixels(image, scale))) for image in pair] for pair in some]
    for left, right in spots:
        assert left[0] == right[0] and right[1] == left[1] + shape[1] * scale + 2
    lefts = [left for left, _ in spots]
    assert len({y for y, _ in lefts[:4]}) == 1 and lefts[4][0] > lefts[0][0] and lefts[4][1] == lefts[0][1]


def test_each_caption_is_below_its_pair_and_covers_no_image(drawn):
    some = some_pairs(6)
    with_words, without = drawn(some), drawn(some, words=[""] * 6)
    changed = (with_words != without).any(axis=-1)
    for pair in some:
        y, x = corner(with_words, colour(image_io.enlarge_pixels(pair[0], 4)))
        assert not changed[y : y + 112, x : x + 226].any()
        assert changed[y + 112 : y + 112 + 2 * pairs.TEXT, x : x + 226].any()
        changed[y + 112 : y + 112 + 2 * pairs.TEXT, x : x + 226] = False
    assert not changed.any()


def test_no_more_than_sixteen_pairs_are_shown(drawn):
    assert np.array_equal(drawn(some_pairs(16)), drawn(some_pairs(20)))
    assert drawn(some_pairs(12)).shape[0] < drawn(some_pairs(13)).shape[0] == drawn(some_pairs(16)).shape[0]


def test_equal_pairs_give_equal_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        pairs.write_pairs(tmp_path / name, some_pairs(3), captions(3), "quick")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("shape", [(28, 28), (128, 8)])
def test_long_words_stay_inside_the_margins(drawn, shape):
    for title, words in (("W" * 300, ["W" * 300]), ("two\nlines\x1b[31m", ["two\nlines"]), ("", [""])):
        picture = drawn(some_pairs(1, shape), title, words)
        edge = np.ones(picture.shape[:2], bool)
        edge[pairs.MARGIN // 2 : -pairs.MARGIN // 2, pairs.MARGIN // 2 : -pairs.MARGIN // 2] = False
        assert (picture[edge] == lettering.PAPER).all()


@pytest.mark.parametrize(
    ("some", "words"),
    [
        ([], []),
        (some_pairs(2), captions(1)),
        ([*some_pairs(1), *some_pairs(1, (32, 32))], captions(2)),
        ([*some_pairs(1), *some_pairs(1, (28, 28, 3))], captions(2)),
        ([tuple(np.zeros((2, 28, 28)))], captions(1)),
    ],
)
def test_pairs_that_cannot_be_drawn_are_refused_in_one_line(tmp_path, some, words):
    with pytest.raises(ContractError) as caught:
        pairs.write_pairs(tmp_path / "pairs.png", some, words, "quick")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pairs.png").exists()


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match="nowhere"):
        pairs.write_pairs(tmp_path / "nowhere" / "pairs.png", some_pairs(1), captions(1), "quick")
