"""Start a run from pretrained networks: load them from a model file or a run, and copy their weights."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gancli import config as configs
from gancli.config import ModelSpec, TrainConfig
from gancli.core.networks import model_file
from gancli.core.networks.build import build_discriminator, build_generator
from gancli.core.training import checkpoint
from gancli.core.training.step import TrainStep
from gancli.errors import ConfigError, FileFormatError, RunError
from gancli.files.run_config import InitEntry, RunConfig
from gancli.files.run_folder import RunDir, suggest_run
from gancli.files.tensor_header import REPLACE_HINT, RESTORE_HINT
from gancli.wording import format_list

MOST_NAMED = 5
REINITIALIZED = {
    "D": "D is new, because a model file holds only G",
    "class embeddings": "the classes differ, so their embeddings are new",
    "class weights": "only one of the two has classes or clusters, so the weights that read them are new",
}


@dataclass(frozen=True, eq=False)
class PretrainedNetworks:
    """Pretrained networks and their description. source: the path as given; path: the absolute path.

    G: the averaged generator. D: None if loaded from a model file. spectral_norm: whether D has it. clusters: the
    digest of the clusters, if the classes are clusters. notes: for the user.
    """

    source: str
    path: str
    sha256: str
    spec: ModelSpec
    spectral_norm: bool
    nimg: int
    data: str
    class_names: tuple[str, ...]
    G: nn.Module
    D: nn.Module | None
    clusters: str | None = None
    notes: tuple[str, ...] = ()

    def known_classes(self, record: RunConfig) -> tuple[str, ...]:
        """Return the class names that have the same meaning in a new run; none if the clusters differ."""
        return self.class_names if record.data.clusters == self.clusters else ()


def load_pretrained(path: Path, outdir: Path) -> PretrainedNetworks:
    """Load the networks of a model file, or of the newest checkpoint of a run (a path, or a name under outdir).

    Raises RunError, FileFormatError.
    """
    if path.is_file():
        model = model_file.load_model(path)
        info = model.info
        return PretrainedNetworks(
            source=str(path),
            path=str(path.absolute()),
            sha256=model.digest,
            spec=info.spec,
            spectral_norm=False,
            nimg=info.nimg,
            data=info.data["name"],
            class_names=info.class_names,
            G=model.G,
            D=None,
            clusters=info.data.get("clusters"),
        )
    if not path.exists() and not (outdir / path).exists():
        raise RunError(f"no run folder or model file at {path}{suggest_run(path, outdir)}; check the path")
    return load_run_networks(RunDir.find(path, outdir), str(path))


def load_run_networks(run: RunDir, source: str) -> PretrainedNetworks:
    kept, faults = checkpoint.read_newest_checkpoint(run)
    path, tensors = kept.path, kept.tensors
    try:
        record = kept.record
    except RunError as err:
        raise FileFormatError(
            f"{path} holds networks that this gancli cannot build: {str(err).splitlines()[0]}; {REPLACE_HINT}"
        ) from err
    train, data, spec = record.train, record.data, record.model_spec
    class_names = model_file.check_class_names(path, list(data.class_names))
    averaged = checkpoint.select_prefix(tensors, "G_ema") or checkpoint.select_prefix(tensors, "G")
    return PretrainedNetworks(
        source=source,
        path=str(run.path.absolute()),
        sha256=kept.digest,
        spec=spec,
        spectral_norm=train.spectral_norm,
        nimg=kept.meta.nimg,
        data=data.name,
        class_names=class_names,
        G=model_file.build_with_weights(path, lambda: build_generator(spec), averaged),
        D=model_file.build_with_weights(
            path,
            lambda: build_discriminator(spec, spectral_norm=train.spectral_norm),
            checkpoint.select_prefix(tensors, "D"),
        ),
        clusters=data.clusters,
        notes=tuple(
            f"{str(fault).removesuffix(f'; {RESTORE_HINT}')}; starting from the checkpoint before it"
            for _, fault in faults
        ),
    )


def adopt_pretrained_settings(
    config: TrainConfig, sources: Mapping[str, str], start: PretrainedNetworks, *, has_own_size: bool
) -> tuple[TrainConfig, dict[str, str]]:
    """Return the settings with the network settings of `start`; the source of these becomes "init".

    Raises ConfigError if a flag or file asks for another value; a new D may have another width. has_own_size: whether
    the size of the images is fixed.
    """
    spec = start.spec
    kept: dict[str, Any] = {name: getattr(spec, name) for name in ("model", "z_dim", "g_width", "d_width")}
    if start.D is not None:
        kept["spectral_norm"] = start.spectral_norm
    kept |= {"resolution": spec.resolution, "channels": str(spec.channels)}
    auto = {"resolution": 0, "channels": "auto"}
    asked_for = [name for name in kept if sources[name] in ("flag", "file") and getattr(config, name) != auto.get(name)]
    for name in asked_for:
        asked = getattr(config, name)
        if asked != kept[name] and not (name == "d_width" and start.D is None):
            fix = f"remove {configs.flag_name(name)}"
            if name in ("d_width", "spectral_norm"):
                fix += ", or start from the run's model.safetensors with a new D"
            raise ConfigError(
                f"{configs.flag_name(name)} {asked} differs from the {kept[name]} of {start.source}; {fix}"
            )
    followed = kept.keys() - {*asked_for} - ({"resolution", "channels"} if has_own_size else set())
    values = {name: kept[name] for name in followed}
    return dataclasses.replace(config, **values), {**sources, **dict.fromkeys(followed, "init")}


def build_init_entry(start: PretrainedNetworks, record: RunConfig) -> InitEntry:
    """Describe the networks that a new run starts from. Raises ConfigError if its images differ in size or channels."""
    spec, class_names = record.model_spec, record.data.class_names
    if (spec.resolution, spec.channels) != (start.spec.resolution, start.spec.channels):
        wanted = f"--resolution {start.spec.resolution} --channels {start.spec.channels}"
        by = record.sources["resolution"] if record.train.resolution == spec.resolution else ""
        made = f" ({by})" if by.startswith("preset") else ""
        sizes = f"the images of {record.data.name} are {format_image_size(spec)}{made}"
        sizes += f", but those of {start.source} are {format_image_size(start.spec)}"
        raise ConfigError(f"{sizes}; add {wanted}, or choose other images")
    remade = [] if start.D else ["D"]
    known = start.known_classes(record)
    new_classes = tuple(name for name in class_names if name not in known)
    if bool(class_names) != bool(start.class_names):
        remade, new_classes = [*remade, "class weights"], ()
    elif new_classes == class_names and class_names:
        remade, new_classes = [*remade, "class embeddings"], ()
    return InitEntry(start.source, start.path, start.sha256, start.nimg, start.data, tuple(remade), new_classes)


def format_image_size(spec: ModelSpec) -> str:
    return f"{spec.resolution}x{spec.resolution} {'grey' if spec.channels == 1 else 'RGB'}"


def describe_init(init: InitEntry) -> str:
    """Format an entry as one line: 'runs/00000-quick-mnist-5k, 120 kimg on mnist-5k; the classes differ, so ...'."""
    notes, classes = [REINITIALIZED[name] for name in init.remade if name in REINITIALIZED], init.new_classes
    notes += [f"new embeddings for new classes: {format_list(classes, MOST_NAMED)}"] if classes else []
    return "; ".join([f"{init.source}, {init.nimg / 1000:g} kimg on {init.data}", *notes])


@torch.no_grad()
def apply_pretrained(state: TrainStep, start: PretrainedNetworks, record: RunConfig) -> None:
    """Copy the weights of `start` into the state of a new run. Weights without a counterpart stay unchanged."""
    places = {name: place for place, name in enumerate(start.known_classes(record))}
    rows = [(row, places[name]) for row, name in enumerate(record.data.class_names) if name in places]
    copy_matching_weights(state.G, start.G, rows, start.spec.z_dim)
    if start.D is not None:
        copy_matching_weights(state.D, start.D, rows, 0)
    if state.G_ema is not state.G:
        state.G_ema.load_state_dict(state.G.state_dict())


def copy_matching_weights(net: nn.Module, trained: nn.Module, rows: Sequence[tuple[int, int]], z_dim: int) -> None:
    """Copy the weights of a trained network that differs from net only in its classes.

    rows: the index in net and in trained of each class that both have; its embedding is copied. z_dim: number of
    columns that read z, in a layer where further columns may read the class; 0 if there is no such layer.
    """
    known = trained.state_dict()
    for name, weight in net.state_dict().items():
        old = known.get(name)
        if old is None:
            continue
        if name.startswith("embed."):
            for row, place in rows:
                weight[row] = old[place]
        elif old.shape == weight.shape:
            weight.copy_(old)
        elif z_dim and len(old) == len(weight):
            weight[:, :z_dim] = old[:, :z_dim]
