"""Extractors: the shipped networks are intact and accurate, features do not depend on batches, the cache is safe."""

import hashlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from gancli import config
from gancli._version import install_hint
from gancli.core.networks import tensor_file
from gancli.errors import ConfigError, DamagedFileError, DataError, GancliError
from gancli.metrics import features
from gancli.metrics.features import (
    EXTRACTORS,
    WEIGHTS,
    WEIGHTS_SHA256,
    Extractor,
    choose_extractor,
    extract_features,
    load_extractor,
)

LEAST_ACCURACY = {"digits": (0.98, 500), "fashion": (0.91, 10_000)}


def pictures(n: int, channels: int = 1, size: int = 28, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), generator=generator, dtype=torch.uint8)


def refuse(images: torch.Tensor) -> Any:
    raise AssertionError("not from the cache")


@pytest.mark.parametrize("name", sorted(WEIGHTS_SHA256))
def test_shipped_network_is_intact_small_and_accurate(name: str) -> None:
    path = WEIGHTS / f"{name}.safetensors"
    _, about, _ = tensor_file.unpack_tensors("features", path)
    assert path.stat().st_size < 1_000_000
    assert hashlib.sha256(path.read_bytes()).hexdigest() == WEIGHTS_SHA256[name]
    accuracy, count = LEAST_ACCURACY[name]
    assert about["heldout_accuracy"] >= accuracy and about["n_heldout"] >= count
    assert about["data"]["name"] and len(about["data"]["digest"]) == 64


def test_digits_network_has_the_recorded_accuracy_and_no_dead_unit() -> None:
    """Every unit varies over real images, and is standardised on its training images."""
    from gancli.core.data import load as data

    digits = data.load_dataset("mnist-5k")
    extractor = load_extractor("digits")
    held = extract_features(extractor, digits.heldout_images)
    accuracy = float((held.labels == digits.heldout_labels).double().mean())
    assert accuracy == pytest.approx(extractor.about["heldout_accuracy"], abs=2 / 500)
    train = extract_features(extractor, digits.images).values
    assert train.mean(dim=0).abs().max() < 0.01
    assert (train.std(dim=0) - 1).abs().max() < 0.01
    assert held.values.std(dim=0).min() > 0.5


@pytest.mark.parametrize(("name", "channels"), [("digits", 1), ("fashion", 1), ("stacked-digits", 3), ("random", 3)])
def test_features_of_an_image_do_not_depend_on_what_else_is_extracted(name: str, channels: int) -> None:
    extractor, images = load_extractor(name, channels), pictures(features.BATCH + 3, channels)
    together, alone = extract_features(extractor, images), extract_features(extractor, images[-2:])
    assert together.values.dtype == torch.float64 and len(together) == len(images)
    assert torch.equal(together.values[-2:], alone.values)
    assert (together.labels is None) == (not extractor.class_names)


def test_progress_counts_images() -> None:
    done: list[int] = []
    extract_features(load_extractor("random"), pictures(features.BATCH + 3), done.append)
    assert done == [features.BATCH, features.BATCH + 3]


def test_stacked_digits_read_three_channels_as_one_number() -> None:
    images = pictures(8, 3)
    stacked = extract_features(load_extractor("stacked-digits"), images)
    parts = [extract_features(load_extractor("digits"), images[:, c : c + 1]) for c in range(3)]
    assert torch.equal(stacked.labels, 100 * parts[0].labels + 10 * parts[1].labels + parts[2].labels)
    assert torch.allclose(stacked.values, torch.cat([p.values for p in parts], dim=1), atol=1e-5)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (3, 33), (4, 128)])
def test_random_features_take_images_of_any_size_and_are_marked_relative(channels: int, size: int) -> None:
    extractor = load_extractor("random", channels)
    assert extractor.relative and extractor.shape is None
    assert extract_features(extractor, pictures(4, channels, size)).values.shape == (4, 112)


def test_random_filters_never_change() -> None:
    """The first numbers of RandomState(0), times sqrt(2/9)."""
    filters = features.RandomNet(1).filters[0].flatten()[:3]
    assert filters.tolist() == pytest.approx([x * (2 / 9) ** 0.5 for x in (1.76405235, 0.40015721, 0.97873798)])
    assert load_extractor("random", 1).digest != load_extractor("random", 3).digest


@pytest.mark.parametrize(
    ("data_name", "shape", "chosen"),
    [
        ("mnist", (1, 28, 28), "digits"),
        ("mnist-5k", (1, 28, 28), "digits"),
        ("fashion-mnist", (1, 28, 28), "fashion"),
        ("stacked-mnist", (3, 28, 28), "stacked-digits"),
        ("mnist", (1, 32, 32), "random"),
        ("cats/", (3, 64, 64), "random"),
    ],
)
def test_auto_picks_the_extractor_for_the_data(data_name: str, shape: tuple[int, int, int], chosen: str) -> None:
    assert choose_extractor("auto", data_name, shape).name == chosen


def test_features_of_another_domain_or_size_are_refused_with_advice() -> None:
    with pytest.raises(ConfigError, match=r"'fashion' .*mnist; .*digits"):
        choose_extractor("fashion", "mnist", (1, 28, 28))
    with pytest.raises(ConfigError, match=r"1x28x28 .*3x32x32"):
        choose_extractor("digits", "photos/", (3, 32, 32))
    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        choose_extractor("digit", "mnist", (1, 28, 28))
    with pytest.raises(DataError, match=r"1x28x28 .*1x32x32"):
        extract_features(load_extractor("digits"), pictures(2, size=32))
    with pytest.raises(GancliError, match="expected uint8"):
        extract_features(load_extractor("digits"), torch.zeros(2, 1, 28, 28))


def test_every_name_but_inception_loads_offline() -> None:
    assert tuple(EXTRACTORS) == config.EXTRACTOR_NAMES
    loaded = [load_extractor(name).name for name in EXTRACTORS if name != "inception"]
    assert loaded == [name for name in EXTRACTORS if name != "inception"] and len(loaded) == 4


def test_a_damaged_network_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((WEIGHTS / "digits.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "digits.safetensors").write_bytes(content)
    monkeypatch.setattr(features, "WEIGHTS", tmp_path)
    with pytest.raises(DamagedFileError, match=r"digits\.safetensors"):
        load_extractor("digits")
    with pytest.raises(DataError, match=r"cannot read .*fashion\.safetensors"):
        load_extractor("fashion")


def test_cache_returns_the_extracted_features(tmp_path: Path) -> None:
    extractor, images = load_extractor("digits"), pictures(5)
    first = features.extract_cached(extractor, images, "data", tmp_path / "cache")
    again = features.extract_cached(Extractor("digits", refuse, extractor.digest), images, "data", tmp_path / "cache")
    assert torch.equal(first.values, again.values) and torch.equal(first.labels, again.labels)


@pytest.mark.parametrize(("digest", "data"), [("other network", "data"), ("same", "other data")])
def test_cache_is_keyed_by_network_and_by_data(tmp_path: Path, digest: str, data: str) -> None:
    network = load_extractor("random").network
    features.extract_cached(Extractor("random", network, "same"), pictures(5), "data", tmp_path)
    with pytest.raises(AssertionError, match="not from the cache"):
        features.extract_cached(Extractor("random", refuse, digest), pictures(5), data, tmp_path)


def test_damaged_cache_is_rebuilt(tmp_path: Path) -> None:
    extractor, images = load_extractor("random"), pictures(5)
    folder = tmp_path / "cache"
    first = features.extract_cached(extractor, images, "data", folder)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for damage in (whole[:-1], whole[:20], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damage)
        assert torch.equal(features.extract_cached(extractor, images, "data", folder).values, first.values)
        assert path.read_bytes() == whole


def test_cache_file_with_the_wrong_name_is_rebuilt(tmp_path: Path) -> None:
    extractor = load_extractor("random")
    folder = tmp_path / "cache"
    train = features.extract_cached(extractor, pictures(5), "data train", folder)
    held = features.extract_cached(extractor, pictures(5, seed=1), "data held-out", folder)
    one, other = folder.iterdir()
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert torch.equal(features.extract_cached(extractor, pictures(5), "data train", folder).values, train.values)
    assert torch.equal(
        features.extract_cached(extractor, pictures(5, seed=1), "data held-out", folder).values, held.values
    )


def test_unwritable_cache_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(features.extract_cached(load_extractor("random"), pictures(3), "data", tmp_path / "file")) == 3


class StandIn(torch.nn.Module):
    """Answers as torch-fidelity's extractor does: uint8 [N,3,H,W] -> a tuple of one [N,2048]."""

    def __init__(self, name: str, features_list: list[str]) -> None:
        super().__init__()
        assert (name, features_list) == ("inception-v3-compat", ["2048"])
        self.register_buffer("weight", torch.ones(3))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        assert images.dtype == torch.uint8 and images.shape[1] == 3
        return (images.float().mean(dim=(2, 3)).repeat(1, 683)[:, :2048],)


def stand_in(monkeypatch: pytest.MonkeyPatch, extractor: object) -> None:
    module = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = extractor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_takes_grey_and_colour_through_torch_fidelity(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    stand_in(monkeypatch, StandIn)
    extractor = load_extractor("inception")
    assert extract_features(extractor, pictures(3, channels, 32)).values.shape == (3, 2048)
    assert not extractor.relative and len(extractor.digest) == 64 and "299" in str(extractor.resize)


def test_inception_without_its_package_or_its_weights_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise OSError("no route to host")

    stand_in(monkeypatch, no_network)
    with pytest.raises(DataError, match=r"no route to host.*--features auto"):
        load_extractor("inception")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.delitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3")
    with pytest.raises(DataError, match=re.escape(install_hint("inception"))):
        load_extractor("inception")
