import gzip
import os
import struct
from pathlib import Path

import pytest
import torch

from gancli.core.data import idx
from gancli.errors import DataError

IMAGES = torch.arange(12 * 64).remainder(251).to(torch.uint8).view(12, 8, 8)


def encoded(array: torch.Tensor, *, kind: int = 8, shape: tuple[int, ...] | None = None) -> bytes:
    shape = shape or tuple(array.shape)
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + array.numpy().tobytes()


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_written_array_is_found_and_read_back(tmp_path: Path, name: str, is_zipped: bool) -> None:
    path = tmp_path / (name + ".gz" * is_zipped)
    path.write_bytes(gzip.compress(encoded(IMAGES)) if is_zipped else encoded(IMAGES))
    assert idx.find_idx_file(tmp_path, "train", "images-idx3") == path
    assert torch.equal(idx.read_idx(path, ndim=3), IMAGES)


def test_content_decides_whether_a_file_is_gzipped(tmp_path: Path) -> None:
    (tmp_path / "unpacked.gz").write_bytes(encoded(IMAGES))
    (tmp_path / "packed").write_bytes(gzip.compress(encoded(IMAGES)))
    for name in ("unpacked.gz", "packed"):
        assert torch.equal(idx.read_idx(tmp_path / name, ndim=3), IMAGES)


def test_another_split_or_kind_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encoded(IMAGES))
    assert idx.find_idx_file(tmp_path, "t10k", "images-idx3") is None
    assert idx.find_idx_file(tmp_path, "train", "labels-idx1") is None


def test_every_damage_is_refused_in_one_line_naming_the_file(tmp_path: Path) -> None:
    good = encoded(IMAGES)
    zipped = gzip.compress(good)
    damages = {
        "empty": b"",
        "text": b"hello, this is no data at all",
        "page": b"<!DOCTYPE html><html>not found</html>",
        "float type": encoded(IMAGES, kind=13),
        "labels": encoded(IMAGES.flatten()),
        "four dimensions": encoded(IMAGES[:, None]),
        "trailing byte": good + b"\0",
        "no images": encoded(IMAGES[:0]),
        "zero width": encoded(IMAGES, shape=(12, 8, 0)),
        "one more promised": encoded(IMAGES, shape=(13, 8, 8)),
        "one fewer promised": encoded(IMAGES, shape=(11, 8, 8)),
        "huge promise": encoded(IMAGES, shape=(200_000, 256, 256)),
        "absurd promise": encoded(IMAGES, shape=(2**32 - 1,) * 3),
        "zipped huge promise": gzip.compress(encoded(IMAGES, shape=(200_000, 256, 256))),
        "zipped trailing byte": gzip.compress(good + b"\0"),
        "zipped short": gzip.compress(good[:-1]),
        "zip then junk": zipped + b"junk",
        "zip sum wrong": zipped[:-8] + bytes([zipped[-8] ^ 1]) + zipped[-7:],
        "zip stream wrong": zipped[:40] + b"\xff" * 20 + zipped[60:],
    }
    damages |= {f"cut at {n}": good[:n] for n in range(1, len(good), 9)}
    damages |= {f"zip cut at {n}": zipped[:n] for n in range(1, len(zipped), 9)}
    path = tmp_path / "train-images-idx3-ubyte"
    refused = 0
    for name, content in damages.items():
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            idx.read_idx(path, ndim=3)
            pytest.fail(f"accepted: {name}")
        assert str(path) in str(caught.value) and "\n" not in str(caught.value), name
        refused += 1
    assert refused == len(damages) > 100


def test_a_highly_compressed_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    black, path = torch.zeros(1000, 32, 32, dtype=torch.uint8), tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(encoded(black)))
    assert torch.equal(idx.read_idx(path, ndim=3), black), "a small one does no harm"
    monkeypatch.setattr(idx, "SMALL_BYTES", black.numel() - 1)
    with pytest.raises(DataError, match=r"bomb\.gz .*more than 200"):
        idx.read_idx(path, ndim=3)
    path.write_bytes(encoded(black))
    assert torch.equal(idx.read_idx(path, ndim=3), black), "unpacked it is no bomb"


def test_a_file_that_does_not_fit_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(bytearray):
        def __iadd__(self, more: object) -> "Full":
            raise MemoryError

    (tmp_path / "huge").write_bytes(encoded(IMAGES))
    monkeypatch.setattr(idx, "bytearray", Full, raising=False)
    with pytest.raises(DataError, match=r"huge .*12x8x8"):
        idx.read_idx(tmp_path / "huge", ndim=3)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(DataError, match="train-images-idx3-ubyte is not a regular file"):
        idx.read_idx(tmp_path / "train-images-idx3-ubyte", ndim=3)


def test_decompression_stops_one_byte_after_the_stated_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(encoded(IMAGES) + bytes(50_000_000), compresslevel=1))
    asked = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: asked.append(size) or read(self, size))
    with pytest.raises(DataError, match="holds more than the 12x8x8 bytes"):
        idx.read_idx(path, ndim=3)
    assert sum(asked) == 16 + IMAGES.numel() + 1
