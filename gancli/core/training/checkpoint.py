"""Save and restore a TrainStep in one file: weights, averages, optimisers, running sums and the config of the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from msgspec import Meta, Struct
from torch import Tensor

from gancli.config import ModelSpec, TrainConfig
from gancli.core.networks import model_file, tensor_file
from gancli.core.networks.build import on_meta_device
from gancli.core.training.step import TrainStep
from gancli.errors import DamagedFileError, FileFormatError, RunError
from gancli.files.run_config import RunConfig, parse_run_config, to_json
from gancli.files.run_folder import IMPLAUSIBLE_VALUE, RunDir, atomic_write, parse_nimg
from gancli.files.tensor_header import RESTORE_HINT


class CheckpointMeta(Struct, frozen=True):
    """The values of a checkpoint that are not tensors. record: the values of config.json. train_s: seconds trained."""

    record: dict[str, object]
    train_s: Annotated[float, Meta(ge=0, le=IMPLAUSIBLE_VALUE)]
    nimg: int
    strength: Annotated[float, Meta(ge=0, le=1)]
    lr_factor: Annotated[float, Meta(gt=0, le=1)]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The contents of a checkpoint file. digest: the sha256 of all contents."""

    path: Path
    tensors: dict[str, Tensor]
    meta: CheckpointMeta
    digest: str

    @property
    def record(self) -> RunConfig:
        """The config of the run. Raises RunError."""
        return parse_run_config(self.meta.record, self.path)


def save_checkpoint(path: Path, state: TrainStep, record: RunConfig, train_s: float) -> None:
    meta = CheckpointMeta(to_json(record), train_s, state.nimg, state.strength, state.lr_factor)
    atomic_write(path, tensor_file.pack_tensors("checkpoint", state_tensors(state), msgspec.structs.asdict(meta)))


def state_tensors(state: TrainStep) -> dict[str, Tensor]:
    """Return all tensors of a state: everything except nimg, strength and lr_factor."""
    tensors = {"tallies": state.tallies.cpu().double()}
    for name, module in state.modules.items():
        tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    for name, optimizer in state.optimizers.items():
        for place, moments in optimizer.moments.items():
            tensors |= {f"{name}.{place}.{key}": tensor for key, tensor in vars(moments).items()}
    return tensors


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file. Raises FileFormatError, and DamagedFileError for a damaged or misnamed one.

    A resume deletes logs and frames that are newer than the checkpoint, so the number in its name must be right.
    """
    tensors, values, digest = tensor_file.unpack_tensors("checkpoint", path)
    if model_file.check_images_seen(path, values.get("nimg")) != parse_nimg(path):
        raise DamagedFileError(f"{path} holds a different number of images seen than its name; {RESTORE_HINT}")
    try:
        return Checkpoint(path, tensors, msgspec.convert(values, CheckpointMeta), digest)
    except msgspec.ValidationError as err:
        raise FileFormatError(f"{path} does not fit the run it belongs to: {err}") from err


def read_newest_checkpoint(run: RunDir) -> tuple[Checkpoint, list[tuple[Path, DamagedFileError]]]:
    """Return the newest readable checkpoint, and the damaged ones that are newer. Raises RunError if there is none."""
    faults: list[tuple[Path, DamagedFileError]] = []
    for path in run.checkpoints():
        try:
            return read_checkpoint(path), faults
        except DamagedFileError as err:
            faults.append((path, err))
        except FileFormatError:
            if path in run.checkpoints():
                raise
            return read_newest_checkpoint(run)  # another process continues the run and has deleted this one
    with_model = f" from its model with --init {run.model}" if run.model.is_file() else ""
    raise RunError(f"{run.path} has no checkpoint that can be read; start a new run{with_model}")


def check_checkpoint_fits(kept: Checkpoint, config: TrainConfig, spec: ModelSpec) -> None:
    """Check that a checkpoint fits this config, before its networks are built. Raises FileFormatError.

    A file from someone else can have a correct digest and still not fit.
    """
    try:
        with on_meta_device():
            background = torch.zeros(spec.channels)  # else torch would import its compiler for -torch.ones (seconds)
            fixed, moments = checkpoint_shapes(TrainStep(config, spec, torch.device("meta"), background))
        given = {name: (tensor.shape, tensor.dtype) for name, tensor in kept.tensors.items()}
        if {name: kind for name, kind in given.items() if name not in moments} != fixed:
            raise ValueError("its weights do not match the run's networks")
        seen = {name.rpartition(".")[0] for name in given.keys() - fixed.keys()}  # weights that have moments
        if given != fixed | {name: kind for name, kind in moments.items() if name.rpartition(".")[0] in seen}:
            raise ValueError("Adam's moments do not match the run's networks")
        if not all(bool(tensor.isfinite().all()) for tensor in kept.tensors.values()):
            raise ValueError("it holds numbers that are not finite")
        never_below_0 = [name for name in given.keys() - fixed.keys() if not name.endswith("exp_avg")]
        if any(bool((kept.tensors[name] < 0).any()) for name in never_below_0):
            raise ValueError("Adam's step counts or squared gradients are negative")
    except ValueError as err:
        raise FileFormatError(f"{kept.path} does not fit the run it belongs to: {err}") from err


TensorShapes = dict[str, tuple[torch.Size, torch.dtype]]


def checkpoint_shapes(state: TrainStep) -> tuple[TensorShapes, TensorShapes]:
    """Return the shapes of the tensors that every checkpoint has, and those of Adam's moments.

    A weight has moments only after its first gradient.
    """
    fixed = {"tallies": state.tallies}
    for name, module in state.modules.items():
        fixed |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    moments: TensorShapes = {}
    for name, optimizer in state.optimizers.items():
        for index, parameter in enumerate(optimizer.parameters):
            of_one = vars(optimizer.fresh(parameter)).items()
            moments |= {f"{name}.{index}.{key}": (tensor.shape, tensor.dtype) for key, tensor in of_one}
    return {name: (tensor.shape, tensor.dtype) for name, tensor in fixed.items()}, moments


def restore_checkpoint(state: TrainStep, kept: Checkpoint) -> float:
    """Load a checkpoint into a state of the same config. Returns the seconds trained so far."""
    meta = kept.meta
    fill_state(state, kept.tensors, meta.nimg, meta.strength, meta.lr_factor)
    return meta.train_s


def fill_state(state: TrainStep, tensors: dict[str, Tensor], nimg: int, strength: float, lr_factor: float) -> None:
    """Load the tensors of `state_tensors` and the three numbers into a state."""
    state.nimg, state.strength, state.lr_factor = nimg, strength, lr_factor
    state.tallies.copy_(tensors["tallies"])
    for name, module in state.modules.items():
        module.load_state_dict(select_prefix(tensors, name))
    for name, optimizer in state.optimizers.items():
        optimizer.restore([select_prefix(tensors, f"{name}.{place}") for place in range(len(optimizer.parameters))])


def select_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}
