"""model.safetensors: a generator and everything needed to use it, in one file."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gancli.config import ModelSpec
from gancli.core.distributed import ALONE, World
from gancli.core.networks import stored, tensor_file
from gancli.core.networks.build import build_generator
from gancli.errors import ConfigError, FileFormatError, did_you_mean
from gancli.files.run_folder import atomic_write


@dataclass(frozen=True)
class ModelInfo:
    """What a model file knows beside the weights."""

    spec: ModelSpec
    preset: str
    nimg: int
    data: dict[str, Any]  # name and digest of what it was trained on; that of its clusters if the classes are such
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()  # of the training images; the frequencies that samples follow

    def class_index(self, name: str) -> int:
        """The class called `name`, or numbered so."""
        if not self.class_names:
            raise ConfigError("this model is unconditional: it has no classes to choose from; leave --class out")
        if name in self.class_names:
            return self.class_names.index(name)
        if name.isdecimal() and int(name) < len(self.class_names):
            return int(name)
        raise ConfigError(f"unknown class {name!r}{did_you_mean(name, self.class_names)}")

    def class_indices(self, text: str) -> list[int]:
        """'3', '1,7' or 'trouser,bag' -> the classes in this order. A name with a comma in it is given alone."""
        if text in self.class_names:
            return [self.class_index(text)]
        return [self.class_index(name.strip()) for name in text.split(",")]

    def select_classes(self, text: str | None) -> tuple[int, ...]:
        """'all' or names -> classes, each once; empty if every seed is to take its own."""
        if text is None:
            return ()
        if text == "all" and self.class_names and "all" not in self.class_names:
            return tuple(range(len(self.class_names)))
        return tuple(dict.fromkeys(self.class_indices(text)))


@dataclass(frozen=True)
class Model:
    """world: the processes that make its images together."""

    G: nn.Module
    info: ModelInfo
    digest: str
    world: World = ALONE


def save_model(path: Path, G: nn.Module, info: ModelInfo) -> None:
    atomic_write(path, pack_model(G, info))


def pack_model(G: nn.Module, info: ModelInfo) -> bytes:
    """The content of the file; the same model gives the same bytes."""
    return tensor_file.pack_tensors("model", G.state_dict(), dataclasses.asdict(info))


def read_model_digest(path: Path) -> str:
    """The digest that a model file says it has; its weights are not read."""
    return tensor_file.read_tensor_header("model", path)["sha256"]


def load_model(path: Path, device: torch.device | None = None, world: World = ALONE) -> Model:
    """A model ready to generate."""
    tensors, meta, digest = tensor_file.unpack_tensors("model", path)
    try:
        info = ModelInfo(
            **{
                **meta,
                "spec": ModelSpec(**meta["spec"]),
                "nimg": stored.check_images_seen(path, meta["nimg"]),
                "class_names": stored.check_class_names(path, meta["class_names"]),
                "class_counts": tuple(map(int, meta["class_counts"])),
            }
        )
    except (TypeError, KeyError, ValueError, OverflowError, ConfigError) as err:
        raise FileFormatError(f"{path} holds a model this gancli cannot build: {err}") from err
    if not all(0 <= count < 2**53 for count in info.class_counts) or (info.class_counts and not any(info.class_counts)):
        raise FileFormatError(f"{path} holds class counts that cannot be right")
    known = info.data if isinstance(info.data, dict) else {}
    texts = [info.preset, known.get("name"), known.get("digest"), known.get("clusters", "")]
    if not all(isinstance(text, str) for text in texts):
        raise FileFormatError(f"{path} does not say what it was trained on as a model of gancli does")
    if not len(info.class_names) == len(info.class_counts) == info.spec.n_classes:
        raise FileFormatError(f"{path} names {len(info.class_names)} classes for a model of {info.spec.n_classes}")
    G = stored.build_with_weights(path, lambda: build_generator(info.spec), tensors).to(device or torch.device("cpu"))
    return Model(G.to(memory_format=torch.channels_last).eval().requires_grad_(False), info, digest, world)
