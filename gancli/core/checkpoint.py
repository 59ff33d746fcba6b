"""A TrainState in one file: weights, averages, optimisers, running sums and the record of the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gancli.core import stored, tensorfile
from gancli.core.state import TrainState
from gancli.errors import DamagedFileError, FileFormatError, RunError
from gancli.rundir import RunDir, atomic_write


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What `save` wrote to a file. digest: the file's own, of all of it."""

    path: Path
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    digest: str


def save(path: Path, state: TrainState, meta: dict[str, Any]) -> None:
    """meta: plain values that belong to this point of the run, such as its record and the time spent."""
    tensors = {"tallies": state.tallies}
    for name, module in state.modules.items():
        tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    for name, optimizer in state.optimizers.items():
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": torch.as_tensor(value) for key, value in values.items()}
    moment = {"nimg": state.nimg, "strength": state.strength, "lr_factor": state.lr_factor}
    atomic_write(path, tensorfile.pack("checkpoint", tensors, meta | moment))


def read(path: Path) -> Checkpoint:
    return Checkpoint(path, *tensorfile.unpack("checkpoint", path))


def newest(run: RunDir) -> tuple[Checkpoint, list[tuple[Path, DamagedFileError]]]:
    """The newest checkpoint that can be read; and the newer, damaged ones."""
    faults: list[tuple[Path, DamagedFileError]] = []
    for path in run.checkpoints():
        try:
            return read(path), faults
        except DamagedFileError as err:
            faults.append((path, err))
        except FileFormatError:
            if path in run.checkpoints():
                raise
            return newest(run)  # the run goes on in another process, and has dropped it for newer ones since
    way_out = f", or one from the model it left: --init {run.model}" if run.model.is_file() else ""
    raise RunError(f"{run.path} has no checkpoint that can be read; start a new run{way_out}")


def restore(state: TrainState, found: Checkpoint) -> float:
    """Put a checkpoint into a state built from the same config. Returns the seconds trained so far."""
    tensors, meta = found.tensors, found.meta
    try:
        state.nimg = stored.images_seen(found.path, meta["nimg"])
        state.strength = float(meta.get("strength", state.strength))
        state.lr_factor = float(meta.get("lr_factor", 1.0))
        state.tallies.copy_(tensors["tallies"])
        for name, module in state.modules.items():
            module.load_state_dict(below(tensors, name))
        for name, optimizer in state.optimizers.items():
            restore_optimizer(optimizer, below(tensors, name))
        return float(meta["train_s"])
    except (KeyError, ValueError, TypeError, RuntimeError, OverflowError) as err:
        raise FileFormatError(f"{found.path} does not fit the run it belongs to: {str(err).splitlines()[0]}") from err


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


def restore_optimizer(optimizer: torch.optim.Adam, tensors: dict[str, Tensor]) -> None:
    """Fill Adam's moments, in the memory layout of the weights they belong to, as an uninterrupted run has them."""
    optimizer.state.clear()
    for index, parameter in enumerate(optimizer.param_groups[0]["params"]):
        values = below(tensors, str(index))
        if not values:
            continue
        moments = {key: torch.empty_like(parameter).copy_(values[key]) for key in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": values["step"].to(parameter.device), **moments}
