"""Background and bits are chosen from all pictures, which are measured while they are decoded."""

import dataclasses
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from picture_files import chunk, encoded, exif, png
from PIL import Image

from gancli.core.data import cache_files, first_look, resize, source, statistics, transform
from gancli.core.data.decode import ImageHeader
from gancli.core.data.load import load_dataset
from gancli.core.data.resize import Transform
from gancli.core.data.source import ImageSource
from gancli.core.data.transform import TransformOptions
from gancli.files.cache import cache_folder

BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (128, 128, 128)
TWELVE = np.array([[0, 15, 16], [255, 256, 4095]], np.uint16)


def ink(colour: tuple[int, ...], alpha: int = 255) -> Image.Image:
    """A square of one colour in the middle of a transparent picture."""
    image = Image.new("RGBA", (8, 8))
    image.paste((*colour, alpha), (2, 2, 6, 6))
    return image


def hidden_on(colour: tuple[int, ...], alpha: int = 255) -> tuple[str, ...] | None:
    return first_look.find_hiding_backgrounds(ink(colour, alpha))


def test_a_background_hides_ink_of_nearly_its_colour() -> None:
    assert hidden_on(BLACK) == ("black",) == hidden_on((63, 63, 63)) == hidden_on(BLACK, alpha=90)
    assert hidden_on((64, 64, 64)) == hidden_on((0, 0, 255)) == ()  # blue differs by 255 in one of three channels
    assert hidden_on(WHITE) == ("white",)
    assert hidden_on((128, 128, 128)) == ("grey",)


def test_pictures_without_transparent_places_or_without_ink_are_not_counted() -> None:
    assert first_look.find_hiding_backgrounds(Image.new("RGBA", (4, 4), (0, 0, 0, 255))) is None
    assert first_look.find_hiding_backgrounds(Image.new("LA", (4, 4), (9, 0))) is None


def test_a_dark_photo_with_clear_corners_is_visible_on_black() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 140, (300, 300, 3), np.uint8)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 9, 9))
    assert first_look.find_hiding_backgrounds(image) == ()


def test_ink_counts_by_its_alpha() -> None:
    values = np.zeros((4, 4, 4), np.uint8)
    values[:2] = 0, 0, 0, 255
    values[2:] = 255, 255, 255, 10  # the mean square on black is 255 * 255 * 10 / 265, less than 64 * 64
    assert first_look.find_hiding_backgrounds(Image.fromarray(values)) == ("black",)


def test_evenly_spaced_pixels_of_both_sides_are_looked_at() -> None:
    values = np.random.default_rng(0).integers(0, 256, (100, 300, 4), np.uint8)
    assert np.array_equal(first_look.choose_pixels(Image.fromarray(values)), values[:, ::3])
    assert np.array_equal(
        first_look.choose_pixels(Image.fromarray(values.transpose(1, 0, 2))), values.transpose(1, 0, 2)[::3]
    )
    assert first_look.choose_pixels(Image.new("LA", (129, 128))).shape == (128, 65, 2)


def headers_of(**n_hidden: int) -> Counter[ImageHeader]:
    """Headers of transparent pictures, by the background that hides them ('none': no background does)."""
    header = ImageHeader("PNG", 8, 8, "RGBA", is_grey=False, has_alpha=True)
    return Counter(
        {dataclasses.replace(header, hidden_on=() if name == "none" else (name,)): n for name, n in n_hidden.items()}
    )


@pytest.mark.parametrize(
    ("n_hidden", "background"),
    [
        ({}, BLACK),
        ({"none": 5, "white": 3}, BLACK),
        ({"none": 3, "black": 1}, BLACK),  # a quarter
        ({"none": 3, "black": 2}, WHITE),
        ({"black": 3, "white": 1}, WHITE),
        ({"black": 2, "white": 1}, GREY),
        ({"black": 5, "white": 5}, GREY),
        ({"black": 5, "white": 5, "grey": 6}, BLACK),  # black and white hide 5 each; black is first
        ({"black": 5, "white": 1, "grey": 1}, WHITE),
    ],
)
def test_the_first_background_that_hides_at_most_a_quarter_is_chosen(
    n_hidden: dict[str, int], background: tuple[int, int, int]
) -> None:
    headers = headers_of(**n_hidden)
    headers[ImageHeader("PNG", 8, 8, "RGB", is_grey=False)] = 1000  # pictures without transparency do not matter
    assert transform.choose_transform(headers, TransformOptions()).background == background
    assert transform.choose_transform(headers, TransformOptions(background=(1, 2, 3))).background == (1, 2, 3)


def swap(values: npt.NDArray[np.uint16]) -> bytes:
    """Rows of a PNG: a filter byte, then big-endian values."""
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)


def tiff(values: npt.NDArray[np.uint16], **options: Any) -> bytes:
    return encoded(values, "TIFF", **options)


COLOUR = np.stack([TWELVE, TWELVE[::-1], TWELVE // 2], axis=2)
CLEAR = np.concatenate([COLOUR, np.full((2, 3, 1), 65535, np.uint16)], axis=2)
GREY_ALPHA = np.stack([TWELVE, np.full((2, 3), 65535, np.uint16)], axis=2)


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (png(3, 2, 16, 0, swap(TWELVE)), TWELVE[..., None]),
        (png(3, 2, 16, 2, swap(COLOUR.reshape(2, -1))), COLOUR),
        (png(3, 2, 16, 4, swap(GREY_ALPHA.reshape(2, -1))), TWELVE[..., None]),
        (png(3, 2, 16, 6, swap(CLEAR.reshape(2, -1))), COLOUR),
        (tiff(TWELVE), TWELVE[..., None]),
        (tiff(TWELVE, compression="tiff_lzw"), TWELVE[..., None]),
    ],
    ids=["grey PNG", "RGB PNG", "grey PNG with alpha", "RGBA PNG", "TIFF", "LZW TIFF"],
)
def test_all_bits_of_16_bit_files_are_used(data: bytes, values: npt.NDArray[np.uint16]) -> None:
    channels = values.shape[2]
    for bits in (8, 11, 12, 16):
        _, header = resize.decode_image(data, Transform(64, channels, "pad", bits=bits))
        assert header.bits == 12, "whatever the scale"
        image, _ = resize.load_measured(data, bits)
        found = np.asarray(image).reshape(2, 3, -1)[..., :channels]
        assert np.array_equal(found, np.minimum(values >> (bits - 8), 255)), bits
        if "A" in image.mode:
            assert image.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_alpha_keeps_its_high_byte_at_any_scale(bits: int) -> None:
    alpha = np.array([[0, 0x00FF, 0x0100], [0x1234, 0x8000, 65535]], np.uint16)
    for colour, values in ((4, GREY_ALPHA), (6, CLEAR)):
        values = values.copy()
        values[..., -1] = alpha
        image, _ = resize.load_measured(png(3, 2, 16, colour, swap(values.reshape(2, -1))), bits)
        assert np.asarray(image)[..., -1].tolist() == [[0, 0, 1], [0x12, 0x80, 255]]


@pytest.mark.parametrize("bits", [12, 16])
def test_16_bit_pictures_are_turned_upright(bits: int) -> None:
    data = png(3, 2, 16, 0, swap(TWELVE), chunk(b"eXIf", exif(6)))
    image, header = resize.load_measured(data, bits)
    assert (header.width, header.height) == image.size == (2, 3)
    assert np.array_equal(np.asarray(image), np.rot90(TWELVE >> (bits - 8), -1))


@pytest.mark.parametrize("bits", [12, 16])
def test_16_bit_tiffs_whose_0_is_white_are_inverted(bits: int) -> None:
    image, header = resize.load_measured(tiff(TWELVE, tiffinfo={262: 0}), bits)
    assert header.bits == 12 and np.array_equal(np.asarray(image), 255 - (TWELVE >> (bits - 8)))


def test_the_bits_hold_the_largest_value() -> None:
    for value, bits in ((0, 8), (255, 8), (256, 9), (4095, 12), (4096, 13), (65535, 16)):
        assert resize.measure_image(tiff(np.full((2, 2), value, np.uint16))).bits == bits
    assert resize.measure_image(encoded(np.zeros((2, 2), np.uint8), "PNG")).bits == 0


def write_folder(folder: Path, values: npt.NDArray[np.uint16]) -> str:
    folder.mkdir()
    for i, picture in enumerate(values):
        Image.fromarray(picture).save(folder / f"{i:03d}.png")
    return str(folder)


def test_one_scale_for_all_also_if_the_sample_misses_the_largest_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(0, 200, (40, 8, 8), np.uint16)
    values[37, 0, 0] = 1000
    folder = write_folder(tmp_path / "dim", values)
    monkeypatch.setattr("gancli.core.data.source.SAMPLE_IMAGES", 3)
    images = load_dataset(folder)
    assert images.report and images.report.bits == 10
    assert np.array_equal(images.images[:, 0].numpy(), values >> 2)
    assert any("40 pictures: 16-bit, but with no value above 1,023" in note for note in images.notes)


def test_full_range_files_keep_their_high_byte(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (20, 8, 8), np.uint16)
    images = load_dataset(write_folder(tmp_path / "full", values))
    assert np.array_equal(images.images[:, 0].numpy(), values >> 8)
    assert any("20 pictures: reduced from 16 to 8 bits per channel" in note for note in images.notes)


def test_given_bits_that_are_too_few_are_said(tmp_path: Path) -> None:
    values = np.full((20, 8, 8), 100, np.uint16)
    values[3] = 5000
    notes = load_dataset(write_folder(tmp_path / "dim", values), TransformOptions(bits=12)).notes
    assert "1 picture: 16-bit with values above 4,095, which became white (raise --bits)" in notes


def test_bad_files_are_named_once_also_if_all_pictures_are_decoded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "dim", np.full((20, 8, 8), 4095, np.uint16))
    data = (tmp_path / "dim/007.png").read_bytes()
    (tmp_path / "dim/007.png").write_bytes(data[:-20])
    monkeypatch.setattr(ImageSource, "sample_headers", lambda self: Counter())
    report = load_dataset(folder).report
    assert report and [name for name, _ in report.faults] == ["007.png"] and report.bits == 12


def write_deep_ink(folder: Path, inks: list[int]) -> str:
    """16-bit RGBA pictures; each is a square of ink in the middle of a transparent picture."""
    folder.mkdir()
    for i, level in enumerate(inks):
        values = np.zeros((16, 16, 4), np.uint16)
        values[4:12, 4:12] = level, level, level, 65535
        (folder / f"{i:02d}.png").write_bytes(png(16, 16, 16, 6, swap(values.reshape(16, -1))))
    return str(folder)


@pytest.mark.parametrize(
    ("inks", "bits", "background"),
    [
        ([65535] + 39 * [500], 0, WHITE),  # 500 of 65,535 is black
        (40 * [500], 0, BLACK),  # 250 of 255
        ([65535] + 39 * [500], 8, BLACK),  # all white
        (40 * [4095], 8, BLACK),
        (40 * [4095], 12, BLACK),
        (40 * [4095], 16, WHITE),
        (40 * [0], 0, WHITE),
    ],
)
def test_the_background_shows_16_bit_ink_at_the_scale_of_the_set(
    tmp_path: Path, inks: list[int], bits: int, background: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, options = write_deep_ink(tmp_path / "ink", inks), TransformOptions(bits=bits)
    for n_sampled in (256, 3):
        monkeypatch.setattr("gancli.core.data.source.SAMPLE_IMAGES", n_sampled)
        images = load_dataset(folder, options)
        assert images.report and images.report.background == background
        assert not [said for said in statistics.pixel_warnings(images) if "colour" in said]
        shutil.rmtree(caches()[0])


def test_16_bit_ink_is_measured_alike_whatever_the_scale(tmp_path: Path) -> None:
    folder = Path(write_deep_ink(tmp_path / "ink", [500, 4095]))
    for file in folder.iterdir():
        data = file.read_bytes()
        headers = {resize.decode_image(data, Transform(8, 3, bits=bits))[1] for bits in range(8, 17)}
        assert headers == {resize.measure_image(data)}
    (dim, twelve) = (resize.measure_image(file.read_bytes()) for file in sorted(folder.iterdir()))
    hidden = [first_look.hiding_backgrounds(dim, bits) for bits in range(8, 17)]
    assert hidden == [("white",), ("white",), ("grey",), *(6 * [("black",)])]  # 255, 250, 125, 62 and less
    assert first_look.hiding_backgrounds(twelve, 8) == ("white",)


def test_16_bit_pictures_without_transparent_ink_hide_nowhere() -> None:
    opaque = np.full((4, 4, 4), 65535, np.uint16)
    for values in (opaque, opaque * 0):
        assert resize.measure_image(png(4, 4, 16, 6, swap(values.reshape(4, -1)))).hidden_by_bits == ()


def age_headers(index: dict[str, Any], hidden_on: list[str]) -> dict[str, Any]:
    """Write the facts as versions did that measured each picture at its own scale."""
    for header, _ in index["facts"]:
        del header["hidden_by_bits"]
        header["hidden_on"] = hidden_on
    return index


def write_sealed(path: Path, sealed: dict[str, Any]) -> None:
    values = {name: value for name, value in sealed.items() if name != "sha256"}
    path.write_text(json.dumps({**values, "sha256": cache_files.json_checksum(values)}) + "\n")


def test_a_cache_that_measured_16_bit_ink_at_its_own_scale_is_made_again(tmp_path: Path) -> None:
    folder = write_deep_ink(tmp_path / "ink", [65535] + 39 * [500])
    right = load_dataset(folder)
    index = caches()[0] / "meta.json"
    write_sealed(index, age_headers(json.loads(index.read_bytes()), ["white"]))
    again = load_dataset(folder)
    assert again.digest == right.digest and again.notes == right.notes
    assert "hidden_by_bits" in json.loads(index.read_bytes())["facts"][0][0]


def test_a_journal_that_measured_16_bit_ink_at_its_own_scale_is_not_continued(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    target, held = Transform(16, 3), np.zeros(4, bool)
    block = source.DecodedBlock(1, np.zeros((1, 3, 16, 16), np.uint8), [], Counter(), [])
    for hidden_on, is_kept in ((None, True), (("white",), False)):
        block.headers.clear()
        block.headers[ImageHeader("PNG", 16, 16, "16-bit RGBA", False, bits=9, hidden_on=hidden_on)] = 1
        with (
            open(folder / "journal", "w") as journal,
            open(folder / "train.u8", "wb") as a,
            open(os.devnull, "wb") as b,
        ):
            cache_files.append_to_journal(journal, cache_files.JournalStart(target))
            cache_files.append_to_journal(journal, cache_files.CacheWriter(folder, held, target).write(block, [a, b]))
        (folder / "heldout.u8").touch()
        assert (cache_files.continue_cache(folder, held) is not None) == is_kept


def caches() -> list[Path]:
    return [path for path in (cache_folder() / "pictures").iterdir() if path.is_dir()]


def test_the_cache_of_auto_serves_the_values_that_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "icons"
    folder.mkdir()
    for i in range(20):
        ink(BLACK, alpha=100 + i).save(folder / f"{i}.png")
    first = load_dataset(str(folder))
    (only,) = caches()
    assert load_dataset(str(folder), TransformOptions(background=WHITE, bits=16)).digest == first.digest
    assert load_dataset(str(folder), TransformOptions(background=WHITE)).digest == first.digest
    assert caches() == [only]
    assert load_dataset(str(folder), TransformOptions(background=BLACK)).digest != first.digest
    assert len(caches()) == 2


def test_a_cache_of_an_older_version_is_used_if_nothing_had_to_be_measured(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "plain", np.zeros((20, 8, 8), np.uint8))  # type: ignore[arg-type]
    old = load_dataset(folder, TransformOptions(background=BLACK, bits=16))
    load_dataset(folder)
    assert len(caches()) == 1
    index = json.loads((caches()[0] / "meta.json").read_bytes())
    assert index["digest"] == old.digest


def test_16_bits_with_a_transparent_colour_are_still_refused() -> None:
    data = png(3, 2, 16, 0, swap(TWELVE), chunk(b"tRNS", b"\0\0"))
    with pytest.raises(Exception, match="16-bit with a transparent colour"):
        resize.decode_image(data, Transform(8, 1, bits=12))
