import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from gancli.core.data import cifar, load
from gancli.errors import DataError

Serve = Callable[[bytes], None]


def record(index: int) -> bytes:
    """Label index mod 10; red is the index everywhere, green counts columns, blue counts rows."""
    rows, columns = bytes(row for row in range(32) for _ in range(32)), bytes(range(32)) * 32
    return bytes([index % 10]) + bytes([index]) * 1024 + columns + rows


def batches(n: int = 20) -> dict[str, bytes]:
    """Five files of n records and a sixth: record 0 is the first of the first file."""
    names = [*cifar.TRAIN_FILES, cifar.TEST_FILE]
    return {name: b"".join(record(file * n + i) for i in range(n)) for file, name in enumerate(names)}


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        evil = tarfile.TarInfo("../escaped")
        tar.addfile(evil, io.BytesIO())
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANCLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Serve these bytes as the download, with their checksum accepted and files of 20 images."""

    def answer_with(archive: bytes) -> None:
        def urlopen(url: str, timeout: float) -> io.BytesIO:
            assert url.startswith("https://") and timeout <= 10
            return io.BytesIO(archive)

        monkeypatch.setattr(cifar.urllib.request, "urlopen", urlopen)
        monkeypatch.setattr(cifar, "MD5", hashlib.md5(archive).hexdigest())
        monkeypatch.setattr(cifar, "IMAGES_PER_FILE", 20)

    return answer_with


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def test_records_become_pictures_channels_first(cache: Path) -> None:
    put(cache / "cifar10", batches())
    found = load.load_dataset("cifar10")
    assert found.images.shape == (100, 3, 32, 32) and found.heldout_images.shape == (20, 3, 32, 32)
    assert found.labels is not None and found.labels.tolist() == [index % 10 for index in range(100)]
    assert found.images[:, 0, 5, 5].tolist() == list(range(100))
    assert found.heldout_images[:, 0, 0, 0].tolist() == list(range(100, 120))
    assert (found.images[:, 1] == torch.arange(32)).all() and (found.images[:, 2] == torch.arange(32)[:, None]).all()
    assert found.class_names[0] == "airplane" and found.class_names[9] == "truck" and found.n_classes == 10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot read .*data_batch_3.bin: No such file"),
        (b"", "data_batch_3.bin is damaged: its size"),
        (record(0)[:-1], "data_batch_3.bin is damaged: its size"),
        (record(0) * 21, "damaged: its size is not 1 to 20 records"),
        (b"\x0a" + record(0)[1:], "data_batch_3.bin is damaged: it holds the label 10"),
    ],
)
def test_a_damaged_file_is_named_with_a_fix(
    cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str
) -> None:
    monkeypatch.setattr(cifar, "IMAGES_PER_FILE", 20)
    put(cache / "cifar10", batches())
    (cache / "cifar10" / "data_batch_3.bin").unlink()
    if content is not None:
        (cache / "cifar10" / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(DataError, match=f"{reason}.*; delete .*cifar10 to download it again"):
        load.load_dataset("cifar10")


def test_the_archive_is_fetched_once_and_only_its_six_files_are_kept(
    cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(packed(batches() | {"readme.html": b"x"}))
    first = load.load_dataset("cifar10")
    assert len(first.images) == 100
    assert sorted(path.name for path in cache.rglob("*")) == ["cifar10", *sorted(batches())]
    monkeypatch.setattr(cifar.urllib.request, "urlopen", lambda *_, **__: pytest.fail("asked the network"))
    assert load.load_dataset("cifar10").digest == first.digest


def without(name: str) -> bytes:
    return packed({key: content for key, content in batches().items() if key != name})


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (without("test_batch.bin"), "test_batch.bin in the archive is missing"),
        (packed(batches(21)), "data_batch_1.bin in the archive is missing or does not hold 20 images"),
    ],
)
def test_an_archive_of_other_contents_leaves_nothing(cache: Path, serve: Serve, archive: bytes, reason: str) -> None:
    serve(archive)
    with pytest.raises(DataError, match=f"CIFAR-10 could not be downloaded .*{reason}"):
        load.load_dataset("cifar10")
    assert list(cache.iterdir()) == []


def test_another_archive_is_refused_unread(cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(packed(batches()))
    monkeypatch.setattr(cifar.tarfile, "open", lambda *_, **__: pytest.fail("opened what it does not know"))
    monkeypatch.setattr(cifar, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="101 bytes") as caught:
        load.load_dataset("cifar10")
    assert "\n" not in str(caught.value) and list(cache.iterdir()) == []


def test_offline_the_error_says_where_to_put_the_files(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(url: str, timeout: float) -> io.BytesIO:
        raise URLError("no route")

    monkeypatch.setattr(cifar.urllib.request, "urlopen", urlopen)
    with pytest.raises(DataError, match=r"no route.*\.bin"):
        load.load_dataset("cifar10")
    assert list(cache.iterdir()) == []
