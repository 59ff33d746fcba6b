"""model.safetensors: a generator and everything needed to use it, in one file.

A file may come from anyone and still have a correct digest, so all contents are checked before use.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from gancli.config import LONGEST_NAME, FitName, ModelSpec, TrainConfig, are_valid_names, check_setting, parse_colour
from gancli.core.networks import tensor_file
from gancli.core.networks.build import build_generator, on_meta_device
from gancli.errors import ConfigError, FileFormatError, did_you_mean
from gancli.files.run_folder import atomic_write
from gancli.files.tensor_header import REPLACE_HINT, RESTORE_HINT, read_tensor_header

MOST_IMAGES = 2**53  # up to here a float represents every integer


class TrainedOn(TypedDict):
    """Name and digest of a data set, the digest of its clusters if the classes are clusters, and how pictures were
    prepared: fit, background and bits, unless they are crop, black and 16."""

    name: str
    digest: str
    clusters: NotRequired[str]
    fit: NotRequired[FitName]
    background: NotRequired[str]
    bits: NotRequired[int]


@dataclass(frozen=True)
class ModelInfo:
    """The metadata of a model file."""

    spec: ModelSpec
    preset: str
    nimg: int
    data: TrainedOn
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()  # training images per class; samples follow these frequencies

    def class_index(self, name: str) -> int:
        """Return the index of the class with this name. Raises ConfigError.

        If no class name is a number, the index itself also selects a class.
        """
        if not self.class_names:
            raise ConfigError("this model is unconditional, so it has no classes to choose from; remove --class")
        if name in self.class_names:
            return self.class_names.index(name)
        numbers = [str(index) for index in range(len(self.class_names))]
        if name in numbers and not any(map(str.isdecimal, self.class_names)):
            return numbers.index(name)
        raise ConfigError(f"unknown class {name!r}{did_you_mean(name, self.class_names)}")

    def class_indices(self, text: str) -> list[int]:
        """Convert 'bag' or 'trouser,bag' to class indices in order. A name with a comma must be the only one."""
        if text in self.class_names:
            return [self.class_index(text)]
        return [self.class_index(name.strip()) for name in text.split(",")]

    def select_classes(self, text: str | None) -> tuple[int, ...]:
        """Convert 'all' or names to class indices, each once; None to (), with which every seed gets its own class."""
        if text is None:
            return ()
        if text == "all" and self.class_names and "all" not in self.class_names:
            return tuple(range(len(self.class_names)))
        return tuple(dict.fromkeys(self.class_indices(text)))


@dataclass(frozen=True)
class Model:
    """A generator ready to use, its metadata, and the sha256 of the contents of its file."""

    G: nn.Module
    info: ModelInfo
    digest: str


def save_model(path: Path, G: nn.Module, info: ModelInfo) -> None:
    atomic_write(path, pack_model(G, info))


def pack_model(G: nn.Module, info: ModelInfo) -> bytes:
    """Return the content of a model file; the same model gives the same bytes."""
    return tensor_file.pack_tensors("model", G.state_dict(), dataclasses.asdict(info))


def read_model_digest(path: Path) -> str:
    """Return the digest in the header of a model file, without reading the weights."""
    return read_tensor_header("model", path)["sha256"]


def load_model(path: Path, device: torch.device | None = None) -> Model:
    """Load a model, ready to generate. Raises FileFormatError, DamagedFileError."""
    tensors, meta, digest = tensor_file.unpack_tensors("model", path)
    info = parse_model_info(path, meta)
    G = build_with_weights(path, lambda: build_generator(info.spec), tensors).to(device or torch.device("cpu"))
    return Model(G.to(memory_format=torch.channels_last).eval().requires_grad_(False), info, digest)


def parse_model_info(path: Path, meta: Mapping[str, Any]) -> ModelInfo:
    """Check and convert the metadata of a file. Raises FileFormatError."""
    try:
        checked = {
            "spec": ModelSpec(**meta["spec"]),
            "nimg": check_images_seen(path, meta["nimg"]),
            "class_names": check_class_names(path, meta["class_names"]),
            "class_counts": tuple(map(int, meta["class_counts"])),
        }
        info = ModelInfo(**{**meta, **checked})
    except (TypeError, KeyError, ValueError, OverflowError, ConfigError) as err:
        raise FileFormatError(f"{path} holds a model that this gancli cannot build: {err}; {REPLACE_HINT}") from err
    if not all(0 <= count < MOST_IMAGES for count in info.class_counts) or (
        info.class_counts and not any(info.class_counts)
    ):
        raise FileFormatError(f"{path} holds invalid class counts; {RESTORE_HINT}")
    known = info.data if isinstance(info.data, dict) else {}
    texts = [
        info.preset,
        known.get("name"),
        known.get("digest"),
        known.get("clusters", ""),
        known.get("background", ""),
    ]
    try:
        check_setting("fit", known.get("fit", TrainConfig.fit))
        parse_colour(str(known.get("background", "black")))
        check_setting("bits", str(known.get("bits", 16)))
    except ConfigError as err:
        raise FileFormatError(f"{path} has no valid record of its training data: {err}; {RESTORE_HINT}") from err
    if not all(isinstance(text, str) for text in texts):
        raise FileFormatError(f"{path} has no valid record of its training data; {RESTORE_HINT}")
    if not len(info.class_names) == len(info.class_counts) == info.spec.n_classes:
        names, n = len(info.class_names), info.spec.n_classes
        raise FileFormatError(f"{path} names {names} classes, but its model has {n}; {RESTORE_HINT}")
    return info


def build_with_weights(path: Path, build: Callable[[], nn.Module], tensors: dict[str, Tensor]) -> nn.Module:
    """Build a network with `build` and load the weights of a file into it.

    Names, shapes and types are compared before any memory is allocated, so a file cannot make us build a huge model.
    Raises FileFormatError.
    """
    with on_meta_device():
        net = build()
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in net.state_dict().items()}
    if expected != {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}:
        raise FileFormatError(f"{path} holds weights that do not fit the model it describes; {RESTORE_HINT}")
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise FileFormatError(
            f"{path} holds weights that are not finite, because its training diverged; choose another model"
        )
    net.load_state_dict(tensors, assign=True)
    return net


def check_images_seen(path: Path, value: object) -> int:
    """Return a valid number of images seen. Raises FileFormatError for any other value."""
    if type(value) is not int or not 0 <= value < MOST_IMAGES:
        raise FileFormatError(f"{path} holds an invalid number of images seen; {RESTORE_HINT}")
    return value


def check_class_names(path: Path, value: object) -> tuple[str, ...]:
    """Return a list of valid class names as a tuple. Raises FileFormatError for any other value."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise FileFormatError(f"{path} holds class names that are not a list of strings; {RESTORE_HINT}")
    if not are_valid_names(value):
        raise FileFormatError(
            f"{path} holds class names that repeat, or are longer than {LONGEST_NAME} characters; {RESTORE_HINT}"
        )
    return tuple(value)
