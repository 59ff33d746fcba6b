import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from gancli.core.data import archive as zips
from gancli.core.data import image_files, resize
from gancli.core.data.decode import ACCEPTED_FORMATS_HINT
from gancli.core.data.image_files import open_images
from gancli.core.data.load import open_source
from gancli.errors import ContractError, DataError
from gancli.files import image_io

GREY = np.random.default_rng(0).integers(0, 256, (12, 8, 6, 1), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (12, 8, 6, 3), dtype=np.uint8)
AS_COLOUR = GREY.repeat(3, axis=3)

Make = Callable[[Path, np.ndarray], Path]


def png(picture: np.ndarray) -> bytes:
    return image_io.encode_png(picture[..., 0] if picture.shape[-1] == 1 else picture)


def folder(place: Path, pictures: np.ndarray) -> Path:
    (place / "made").mkdir()
    for i, picture in enumerate(pictures):
        (place / "made" / f"{i:02d}.png").write_bytes(png(picture))
    return place / "made"


def zipped(place: Path, pictures: np.ndarray) -> Path:
    with zipfile.ZipFile(place / "made.zip", "w") as archive:
        for i, picture in reversed(list(enumerate(pictures))):
            archive.writestr(f"below/{i:02d}.png", png(picture), zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED)
    return place / "made.zip"


def stored_npz(place: Path, pictures: np.ndarray) -> Path:
    np.savez(place / "made.npz", images=pictures)
    return place / "made.npz"


def deflated_npz(place: Path, pictures: np.ndarray) -> Path:
    np.savez_compressed(place / "made.npz", pictures)  # called arr_0
    return place / "made.npz"


@pytest.fixture(params=[folder, zipped, stored_npz, deflated_npz])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2)


def everything(path: Path, shape: tuple[int, int, int] | None = None) -> torch.Tensor:
    return torch.cat([*open_images(path, shape).batches()])


def refusal(path: Path, shape: tuple[int, int, int] | None = None) -> str:
    """The one-line error from opening or reading all the images."""
    with pytest.raises(DataError) as caught:
        everything(path, shape)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("pictures", [GREY, COLOUR])
def test_all_images_come_in_order_from_every_format(tmp_path: Path, make: Make, pictures: np.ndarray) -> None:
    path = make(tmp_path, pictures)
    found = open_images(path)
    assert (len(found), found.labels) == (12, None)
    assert found.shape == (pictures.shape[3], 8, 6)
    assert torch.equal(torch.cat([*found.batches()]), tensor(pictures))
    assert torch.equal(torch.cat([*found.batches()]), tensor(pictures)), "a second time too"


def test_a_subset_keeps_the_order(tmp_path: Path, make: Make) -> None:
    found = open_images(make(tmp_path, GREY))
    part = found.subset([9, 2, 2, 11])
    assert torch.equal(torch.cat([*part.batches()]), tensor(GREY)[[2, 9, 11]])
    assert torch.equal(part.subset([2, 0]).some([1, 0, 1]), tensor(GREY)[[11, 2, 11]])
    assert torch.equal(found.some([7, 0, 7, 11]), tensor(GREY)[[7, 0, 7, 11]])
    assert found.some([]).shape == (0, 1, 8, 6)
    assert [*found.subset([]).batches()] == []
    for wrong in ([12], [-1]):
        with pytest.raises(ContractError, match="rows from 0 to 11"):
            found.subset(wrong)


def test_grey_and_colour_are_converted_if_channels_are_equal(tmp_path: Path, make: Make) -> None:
    path = make(tmp_path, GREY)
    assert torch.equal(everything(path, (3, 8, 6)), tensor(AS_COLOUR))
    (tmp_path / "other").mkdir()
    path = make(tmp_path / "other", AS_COLOUR)
    assert torch.equal(everything(path, (1, 8, 6)), tensor(GREY))
    assert everything(path).shape == (12, 3, 8, 6)


def test_images_that_do_not_fit_the_data_are_refused_on_opening(tmp_path: Path, make: Make) -> None:
    path = make(tmp_path, COLOUR)
    with pytest.raises(DataError, match=r"6x8 .*28x28"):
        open_images(path, (3, 28, 28))
    with pytest.raises(DataError, match=r"colour .*grey"):
        open_images(path, (1, 8, 6))


def test_colour_after_grey_lookalikes_is_noticed_while_reading(tmp_path: Path, make: Make) -> None:
    path = make(tmp_path, np.concatenate([AS_COLOUR[:5], COLOUR[5:6]]))
    assert "colour instead of grey" in refusal(path, (1, 8, 6))


def test_a_batch_is_bounded_in_count_and_bytes(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = open_images(make(tmp_path, GREY))
    monkeypatch.setattr(image_files, "BATCH", 5)
    assert [len(batch) for batch in found.batches()] == [5, 5, 2]
    monkeypatch.setattr(image_files, "BATCH_BYTES", 3 * 48)
    assert [len(batch) for batch in found.batches()] == [3, 3, 3, 3]
    monkeypatch.setattr(image_files, "BATCH_BYTES", 1)
    assert [len(batch) for batch in found.batches()] == [1] * 12


@pytest.mark.parametrize("pack", [folder, zipped])
def test_picture_files_are_opened_batch_by_batch(tmp_path: Path, pack: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = open_images(pack(tmp_path, GREY))
    exact, decoded = resize.decode_exact, []

    def spy(data: bytes) -> resize.Pixels:
        decoded.append(len(data))
        return exact(data)

    monkeypatch.setattr(resize, "decode_exact", spy)
    monkeypatch.setattr(image_files, "BATCH", 4)
    batches = found.batches()
    for n in (4, 8, 12):
        next(batches)
        assert len(decoded) == n


@pytest.mark.parametrize("pack", [stored_npz, deflated_npz])
def test_an_npz_is_read_batch_by_batch_and_no_further_than_needed(
    tmp_path: Path, pack: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (40, 64, 64, 1), dtype=np.uint8)
    found = open_images(pack(tmp_path, noise))
    read, taken = zipfile.ZipExtFile.read, []

    def spy(self: zipfile.ZipExtFile, n: int = -1) -> bytes:
        data = read(self, n)
        taken.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", spy)
    monkeypatch.setattr(image_files, "BATCH", 10)
    batches = found.batches()
    for n in (10, 20):
        assert len(next(batches)) == 10
        assert n * 64 * 64 < sum(taken) < (n + 1) * 64 * 64
    batches.close()  # type: ignore[attr-defined]
    taken.clear()
    assert torch.equal(found.some([3]), tensor(noise)[[3]])
    assert sum(taken) < 5 * 64 * 64


def test_many_formats_in_many_folders_are_read_sorted_by_path(tmp_path: Path) -> None:
    names = ["a/1.PNG", "a/2.bmp", "a/b/3.tif", "b/4.TIFF", "c.webp", "d.gif", "e.JPG", "f.jpeg"]
    for picture, name in zip(GREY, names, strict=False):
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        options = {"lossless": True} if name == "c.webp" else {}
        flat = np.full_like(picture, picture[0, 0, 0]) if name.lower().endswith(("jpg", "jpeg")) else picture
        Image.fromarray(flat[..., 0]).save(tmp_path / "made" / name, **options)
    for name in (".hidden.png", "a/.b/1.png", "__MACOSX/a.png", "a/._1.png", "notes.txt", "png", "grid.png"):
        (tmp_path / "made" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "made" / name).write_bytes(b"no picture at all")
    (tmp_path / "made" / "folder.png").mkdir()
    os.mkfifo(tmp_path / "made" / "pipe.png")
    (tmp_path / "made" / "nowhere.png").symlink_to("gone")
    found = everything(tmp_path / "made", (1, 8, 6))
    assert len(found) == len(names)
    assert torch.equal(found[:6], tensor(GREY[:6]))
    assert (found[6:].float() - tensor(GREY[6:8, :1, :1]).float()).abs().max() < 3


def test_what_imageio_writes_is_read(tmp_path: Path) -> None:
    for i, picture in enumerate(COLOUR):
        iio.imwrite(tmp_path / f"{i:02d}.tiff", picture, plugin="pillow")
    assert torch.equal(everything(tmp_path), tensor(COLOUR))


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    real = folder(tmp_path, GREY)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "real").symlink_to(real)
    (real / "back").symlink_to(tmp_path / "links")
    assert len(open_images(tmp_path / "links")) == 12


def test_a_lone_contact_sheet_is_an_image_but_not_next_to_others(tmp_path: Path) -> None:
    (tmp_path / "grid.png").write_bytes(png(COLOUR[0]))
    assert len(open_images(tmp_path)) == 1
    (tmp_path / "seed0000.png").write_bytes(png(GREY[0]))
    assert torch.equal(everything(tmp_path), tensor(GREY[:1]))


def test_a_zip_entry_without_a_name_is_skipped(tmp_path: Path) -> None:
    """Found by scripts/fuzz.py: zipfile reads the last letter of the name."""
    path = zipped(tmp_path, GREY)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("?", b"")
    content = path.read_bytes()
    for header, name_at, length_at in ((b"PK\x03\x04", 30, 26), (b"PK\x01\x02", 46, 28)):
        at = content.rindex(header)
        assert content[at + name_at : at + name_at + 1] == b"?"
        # its one letter becomes an extra field, so that no offset changes: one byte too short for one, and ignored
        content = content[: at + length_at] + bytes([0, 0, 1, 0]) + content[at + length_at + 4 :]
    path.write_bytes(content)
    assert "" in zipfile.ZipFile(path).namelist()
    assert sum(len(batch) for batch in open_images(path).batches()) == len(GREY)
    assert len(open_source(path).for_training(conditional=True)) == len(GREY)


def test_malicious_names_in_a_zip_are_only_names(tmp_path: Path) -> None:
    names = ["../../up.png", "/etc/root.png", "C:\\back.png", "a\n\x1b[31m.png", "x" * 300 + ".png"]
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for name in names:
            archive.writestr(name, png(GREY[0]))
        archive.writestr("made.png/", b"")
        archive.writestr("__MACOSX/._up.png", b"no picture")
    before = sorted(tmp_path.rglob("*"))
    assert len(everything(tmp_path / "made.zip")) == len(names)
    assert sorted(tmp_path.rglob("*")) == before

    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"no picture")
    message = refusal(tmp_path / "bad.zip")
    assert "\x1b" not in message
    assert len(message) < 1000


@pytest.mark.parametrize("is_zip", [False, True])
def test_every_bad_file_is_counted_and_named_after_the_good_ones(
    tmp_path: Path, is_zip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path, GREY)
    (path / "00.png").write_bytes(b"")
    (path / "03.png").write_bytes((path / "03.png").read_bytes()[:60])
    (path / "05.png").write_bytes(png(GREY[5, :7]))
    (path / "08.png").write_bytes(png(COLOUR[8]))
    Image.new("CMYK", (6, 8)).save(path / "11.jpg")
    if is_zip:
        with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
            for file in path.iterdir():
                archive.write(file, file.name)
        path = tmp_path / "made.zip"
    named = (
        "00.png (empty; copy it again), 03.png (truncated; copy or download it again), "
        "05.png (6x7 pixels instead of 6x8; resize it), 08.png (colour instead of grey; convert it), "
        "11.jpg (CMYK instead of 8-bit grey or RGB; convert it)"
    )
    line = f"5 of 13 images in {path} cannot be used: {named}"
    assert refusal(path) == line
    found = open_images(path)
    assert torch.equal(torch.cat([*found.subset([1, 2, 4]).batches()]), tensor(GREY[[1, 2, 4]]))
    monkeypatch.setattr(image_files, "BATCH", 4)
    batches = found.batches()
    assert torch.equal(torch.cat([next(batches), next(batches)]), tensor(GREY)[[1, 2, 4, 6, 7, 9, 10, 11]])
    with pytest.raises(DataError, match="5 of 13"):
        next(batches)


def test_five_of_many_bad_files_are_named(tmp_path: Path) -> None:
    for i in range(1200):
        (tmp_path / f"{i:04d}.png").write_bytes(b"")
    message = refusal(tmp_path)
    assert message.startswith(
        f"1,200 of 1,200 images in {tmp_path} cannot be used: 0000.png (empty; copy it again), 0001.png (empty), "
    )
    assert message.endswith("0004.png (empty) and 1,195 others")


def test_files_without_images_are_refused_with_the_accepted_formats(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "lone.png").write_bytes(png(GREY[0]))
    np.save(tmp_path / "array.npy", GREY)
    os.mkfifo(tmp_path / "pipe.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    zipped(tmp_path, GREY).write_bytes(zipped(tmp_path, GREY).read_bytes()[:-30])
    np.savez(tmp_path / "none.npz", images=GREY[:0])
    causes = {
        "missing": "does not exist",
        "empty": "no images in",
        "text.txt": "is not a zip or npz, or is damaged",
        "lone.png": "is not a zip or npz, or is damaged",
        "array.npy": "is not a zip or npz, or is damaged",
        "pipe.zip": "is neither a folder nor a file",
        "empty.zip": "no images in",
        "other.zip": "no images in",
        "made.zip": "is not a zip or npz, or is damaged",
        "none.npz": "no images in",
    }
    for name, cause in causes.items():
        message = refusal(tmp_path / name)
        assert cause in message
        assert message.endswith(ACCEPTED_FORMATS_HINT)


def directory_entry(archive: bytearray) -> int:
    return archive.index(b"PK\x01\x02")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, GREY[:1])
    data = bytearray(path.read_bytes())
    data[directory_entry(data) + 8] |= 1
    path.write_bytes(data)
    assert "below/00.png (encrypted; make the zip without a password)" in refusal(path)


def test_zip_entries_that_lie_are_refused_by_name(tmp_path: Path) -> None:
    path = zipped(tmp_path, GREY)
    good = bytearray(path.read_bytes())
    at = directory_entry(good)

    def changed(offset: int, value: int) -> bytes:
        data = bytearray(good)
        data[at + offset : at + offset + 4] = struct.pack("<I", value)
        return bytes(data)

    for data, reason in (
        (changed(24, 1 << 31), "larger than 256 MiB"),
        (changed(24, 20), "damaged"),
        (changed(16, 0), "damaged"),
        (changed(42, len(good) - 10), "damaged"),
    ):
        path.write_bytes(data)
        assert refusal(path).startswith(f"1 of 12 images in {path} cannot be used: below/11.png ({reason}; ")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_without_a_size_bound_is_not_read(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "made.zip", "w", method) as archive:
        archive.writestr("a.png", png(GREY[0]))
    assert "a.png (compressed with a method other than deflate; make the zip with deflate)" in refusal(
        tmp_path / "made.zip"
    )


@pytest.mark.parametrize("is_zip", [False, True])
def test_highly_compressed_files_are_refused_unread(
    tmp_path: Path, is_zip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(1001))
        archive.writestr("good.png", png(GREY[0]))
    (tmp_path / "bomb.png").write_bytes(bytes(1001))
    (tmp_path / "good.png").write_bytes(png(GREY[0]))
    decoded = []
    monkeypatch.setattr(zips, "LARGEST_BYTES", 1000)
    monkeypatch.setattr(resize, "decode_exact", lambda data: decoded.append(len(data)) or GREY[0])
    assert "1 of 2 images" in refusal(tmp_path / "made.zip" if is_zip else tmp_path)
    assert decoded == [len(png(GREY[0]))] * 2


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, ">i4", np.uint64])
def test_labels_of_an_npz_follow_the_rows(tmp_path: Path, dtype: str) -> None:
    np.savez_compressed(
        tmp_path / "made.npz", labels=np.arange(12).astype(dtype), images=GREY[..., 0], seeds=np.ones(3)
    )
    found = open_images(tmp_path / "made.npz")
    assert found.shape == (1, 8, 6)
    assert found.labels is not None
    assert torch.equal(found.labels, torch.arange(12))
    part = found.subset([4, 1]).labels
    assert part is not None
    assert part.tolist() == [1, 4]


def test_the_only_array_holds_the_images_whatever_its_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", x=GREY, labels=np.zeros(12, int))
    found = open_images(tmp_path / "one.npz")
    assert len(found) == 12
    assert found.labels is not None
    np.savez(tmp_path / "two.npz", x=GREY, y=GREY)
    assert "has no array named images, only x, y; rename one to images" in refusal(tmp_path / "two.npz")


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (GREY.astype(np.float32), r"float32 [12, 8, 6, 1]"),
        (GREY.astype(np.int64), r"int64 [12, 8, 6, 1]"),
        (GREY > 0, r"bool [12, 8, 6, 1]"),
        (GREY[0, :, :, 0], r"uint8 [8, 6]"),
        (COLOUR.transpose(0, 3, 1, 2).copy(), r"uint8 [12, 3, 8, 6]"),
        (GREY[:, :0], r"uint8 [12, 0, 6, 1]"),
        (np.uint8(3), r"uint8 []"),
        (np.array([{}, 1], object), r"object [2]"),
    ],
)
def test_arrays_that_are_not_images_are_refused_with_their_shape(
    tmp_path: Path, images: np.ndarray, found: str
) -> None:
    np.savez(tmp_path / "made.npz", images=images)
    message = refusal(tmp_path / "made.npz")
    assert f"made.npz is {found}; save uint8 0..255, [N,H,W] or [N,H,W,C] with C 1 or 3" in message


@pytest.mark.parametrize("labels", [np.zeros(11, int), np.zeros(12), np.full(12, -1), np.full(12, 1 << 40), np.eye(12)])
def test_labels_that_are_not_class_numbers_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "made.npz", images=GREY, labels=labels)
    assert "; save whole numbers from 0, one for each of 12 images" in refusal(tmp_path / "made.npz")


def test_no_array_of_objects_is_ever_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / "a.npz", images=np.array([Trap()], object))
    np.savez(tmp_path / "b.npz", images=GREY, labels=np.array([Trap()] * 12, object))
    refusal(tmp_path / "a.npz")
    refusal(tmp_path / "b.npz")
    assert not (tmp_path / "sprung").exists()


def npy(header: str, content: bytes = GREY.tobytes(), version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + content


def test_damaged_or_lying_arrays_are_refused(tmp_path: Path) -> None:
    fortran = io.BytesIO()
    np.save(fortran, np.asfortranarray(GREY))
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': %s}"
    damages = {
        b"": "damaged, or not an array in NumPy's format 1 or 2; save it again",
        b"hello": "not an array in NumPy's format",
        npy("(" * 500): "not an array in NumPy's format",
        npy(header % "(12, 8, 6)", version=3): "not an array in NumPy's format",
        npy(header % "'abc'"): "not an array in NumPy's format",
        npy(header % "(-12, -8, 6)"): "negative size",
        npy(header % "(12, 8, 6)", GREY.tobytes()[:-1]): "holds 575 bytes of images, but [12, 8, 6] needs 576",
        npy(header % "(13, 8, 6)"): "holds 576 bytes of images, but [13, 8, 6] needs 624",
        npy(header % f"({1 << 40}, 8, 6)"): f"declares {1 << 40:,} images",
        npy(header % "(1, 99999, 99999, 3)"): "images of 29,999,400,003 bytes",
        fortran.getvalue(): "stored in Fortran order; save numpy.ascontiguousarray",
    }
    for data, cause in damages.items():
        with zipfile.ZipFile(tmp_path / "made.npz", "w") as archive:
            archive.writestr("images.npy", data)
        assert cause in refusal(tmp_path / "made.npz")

    with zipfile.ZipFile(tmp_path / "made.npz", "w") as archive:
        archive.writestr("images.npy", npy(header % "(12L, 8L, 6L)"))  # as Python 2 wrote it
    assert torch.equal(everything(tmp_path / "made.npz"), tensor(GREY))


@pytest.mark.parametrize("pack", [stored_npz, deflated_npz])
def test_a_flipped_byte_in_an_npz_is_noticed(tmp_path: Path, pack: Make) -> None:
    path = pack(tmp_path, GREY)
    data = bytearray(path.read_bytes())
    data[300] ^= 255
    path.write_bytes(data)
    assert "made.npz: damaged" in refusal(path)


@pytest.mark.parametrize("pack", [zipped, stored_npz, deflated_npz])
def test_a_damaged_archive_gives_images_or_a_one_line_error(tmp_path: Path, pack: Make) -> None:
    path = pack(tmp_path, GREY)
    good, draw, refused = path.read_bytes(), np.random.default_rng(3), 0
    for _ in range(150):
        data = bytearray(good)
        at = draw.integers(0, len(data), 2)
        data[at[0]] = draw.integers(256)
        data[at[1]] = draw.integers(256)
        path.write_bytes(data[: len(data) - int(draw.integers(0, 2)) * int(draw.integers(0, len(data)))])
        try:
            everything(path)
        except DataError as err:
            assert "\n" not in str(err)
            refused += 1
    assert refused > 75


def test_colour_anywhere_in_a_picture_is_colour(tmp_path: Path) -> None:
    pictures = AS_COLOUR.copy()
    pictures[3, -1, -1, 2] ^= 1
    files = open_images(stored_npz(tmp_path, pictures), (1, 8, 6))
    with pytest.raises(DataError, match="colour instead of grey"):
        list(files.batches())


def test_bytes_after_the_images_of_an_npz_are_noticed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, GREY)
    with zipfile.ZipFile(tmp_path / "more.npz", "w") as archive:
        archive.writestr("images.npy", buffer.getvalue() + b"more")
    with pytest.raises(DataError, match=r"more\.npz .*580 .*576"):
        open_images(tmp_path / "more.npz")


@pytest.mark.parametrize("version", [1, 2])
def test_a_long_header_in_an_npz_is_refused_before_it_is_read(tmp_path: Path, version: int) -> None:
    """The length comes before the header: 2 bytes in version 1, 4 in version 2."""
    length = struct.pack("<H", 60_000) if version == 1 else struct.pack("<I", 3_000_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"\x93NUMPY" + bytes([version, 0]) + length + b" " * 100_000)
    with pytest.raises(DataError, match=r"header of (60,000|3,000,000,000) bytes"):
        open_images(tmp_path / "bomb.npz")
