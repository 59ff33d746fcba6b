"""A TrainStep in one file: weights, averages, optimisers, running sums and the record of the run."""

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


class CheckpointMeta(Struct, frozen=True):
    """What a checkpoint holds beside tensors. record: the values of config.json; train_s: seconds trained."""

    record: dict[str, object]
    train_s: Annotated[float, Meta(ge=0, le=IMPLAUSIBLE_VALUE)]
    nimg: int
    strength: Annotated[float, Meta(ge=0, le=1)]
    lr_factor: Annotated[float, Meta(gt=0, le=1)]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What `save_checkpoint` wrote to a file. digest: the file's own, of all of it."""

    path: Path
    tensors: dict[str, Tensor]
    meta: CheckpointMeta
    digest: str

    @property
    def record(self) -> RunConfig:
        """Raises RunError."""
        return parse_run_config(self.meta.record, self.path)


def save_checkpoint(path: Path, state: TrainStep, record: RunConfig, train_s: float) -> None:
    meta = CheckpointMeta(to_json(record), train_s, state.nimg, state.strength, state.lr_factor)
    atomic_write(path, tensor_file.pack_tensors("checkpoint", state_tensors(state), msgspec.structs.asdict(meta)))


def state_tensors(state: TrainStep) -> dict[str, Tensor]:
    """All that a state is, but for three numbers."""
    tensors = {"tallies": state.tallies.cpu().double()}
    for name, module in state.modules.items():
        tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    for name, optimizer in state.optimizers.items():
        for place, moments in optimizer.moments.items():
            tensors |= {f"{name}.{place}.{key}": tensor for key, tensor in vars(moments).items()}
    return tensors


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises DamagedFileError also for one that has another's name: what came after it would be taken back."""
    tensors, values, digest = tensor_file.unpack_tensors("checkpoint", path)
    if model_file.check_images_seen(path, values.get("nimg")) != parse_nimg(path):
        raise DamagedFileError(f"{path} is not of the images seen that its name says; restore it from a copy")
    try:
        return Checkpoint(path, tensors, msgspec.convert(values, CheckpointMeta), digest)
    except msgspec.ValidationError as err:
        raise FileFormatError(f"{path} does not fit the run it belongs to: {err}") from err


def read_newest_checkpoint(run: RunDir) -> tuple[Checkpoint, list[tuple[Path, DamagedFileError]]]:
    """The newest checkpoint that can be read; and the newer, damaged ones."""
    faults: list[tuple[Path, DamagedFileError]] = []
    for path in run.checkpoints():
        try:
            return read_checkpoint(path), faults
        except DamagedFileError as err:
            faults.append((path, err))
        except FileFormatError:
            if path in run.checkpoints():
                raise
            return read_newest_checkpoint(run)  # the run goes on in another process, which has dropped this one
    way_out = f", or one from the model it left: --init {run.model}" if run.model.is_file() else ""
    raise RunError(f"{run.path} has no checkpoint that can be read; start a new run{way_out}")


def check_checkpoint_fits(kept: Checkpoint, config: TrainConfig, spec: ModelSpec) -> None:
    """Refuse, before anything is built, what does not fit the training of this config: a stranger may have made it,
    with a digest that is right. Raises FileFormatError."""
    try:
        with on_meta_device():
            fixed, moments = checkpoint_shapes(TrainStep(config, spec, torch.device("meta")))
        given = {name: (tensor.shape, tensor.dtype) for name, tensor in kept.tensors.items()}
        if {name: kind for name, kind in given.items() if name not in moments} != fixed:
            raise ValueError("its weights are not those of the run's networks")
        seen = {name.rpartition(".")[0] for name in given.keys() - fixed.keys()}  # the weights Adam has moments of
        if given != fixed | {name: kind for name, kind in moments.items() if name.rpartition(".")[0] in seen}:
            raise ValueError("Adam's moments are not those of the run's networks")
        if not all(bool(tensor.isfinite().all()) for tensor in kept.tensors.values()):
            raise ValueError("it holds numbers that are not finite")
        never_below_0 = [name for name in given.keys() - fixed.keys() if not name.endswith("exp_avg")]
        if any(bool((kept.tensors[name] < 0).any()) for name in never_below_0):
            raise ValueError("Adam has counted or squared to less than 0")
    except ValueError as err:
        raise FileFormatError(f"{kept.path} does not fit the run it belongs to: {err}") from err


TensorShapes = dict[str, tuple[torch.Size, torch.dtype]]


def checkpoint_shapes(state: TrainStep) -> tuple[TensorShapes, TensorShapes]:
    """Of the tensors that a checkpoint has, and of those that it has once Adam has seen a gradient."""
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
    """Put a checkpoint that fits into a state of the same config. Returns the seconds trained so far."""
    meta = kept.meta
    fill_state(state, kept.tensors, meta.nimg, meta.strength, meta.lr_factor)
    return meta.train_s


def fill_state(state: TrainStep, tensors: dict[str, Tensor], nimg: int, strength: float, lr_factor: float) -> None:
    """Make it the state that `state_tensors` were taken of."""
    state.nimg, state.strength, state.lr_factor = nimg, strength, lr_factor
    state.tallies.copy_(tensors["tallies"])
    for name, module in state.modules.items():
        module.load_state_dict(select_prefix(tensors, name))
    for name, optimizer in state.optimizers.items():
        optimizer.restore([select_prefix(tensors, f"{name}.{place}") for place in range(len(optimizer.parameters))])


def select_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}
