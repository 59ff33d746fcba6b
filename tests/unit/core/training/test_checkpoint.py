"""A malicious checkpoint with a correct digest is refused before anything is built from it."""

import dataclasses
import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_configs import make_run_config
from torch import Tensor

from gancli.config import ModelSpec, TrainConfig
from gancli.core.networks import tensor_file
from gancli.core.training import checkpoint
from gancli.core.training.checkpoint import Checkpoint
from gancli.core.training.step import TrainStep
from gancli.errors import DamagedFileError, FileFormatError
from gancli.files.run_folder import RunDir

SPEC = ModelSpec(model="conv", z_dim=4, g_width=4, d_width=4, resolution=8, channels=1, n_classes=2)
CONFIG = TrainConfig(z_dim=4, g_width=4, d_width=4, batch_size=4, kimg=1.0, ema_kimg=0.1, spectral_norm=True)
CPU = torch.device("cpu")


def trained() -> TrainStep:
    state = TrainStep(CONFIG, SPEC, CPU)
    pixels = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        state.step(pixels, torch.tensor([0, 1, 1, 0]), 0.0, 0.0)
    return state


def peak_bytes() -> int:
    """Peak memory of this process so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture
def found(tmp_path: Path) -> Checkpoint:
    state = trained()
    path = RunDir(tmp_path).checkpoint(state.nimg)
    checkpoint.save_checkpoint(path, state, make_run_config(), 1.5)
    return checkpoint.read_checkpoint(path)


def test_a_saved_checkpoint_is_accepted_and_restored(found: Checkpoint) -> None:
    checkpoint.check_checkpoint_fits(found, CONFIG, SPEC)
    state, right = TrainStep(CONFIG, SPEC, CPU), trained()
    assert checkpoint.restore_checkpoint(state, found) == 1.5 and state.nimg == 12
    for name, net in right.modules.items():
        for key, tensor in net.state_dict().items():
            assert torch.equal(state.modules[name].state_dict()[key], tensor), key
    for name, optimizer in right.optimizers.items():
        assert len(optimizer.moments) == len(optimizer.parameters)
        for place, moments in optimizer.moments.items():
            for key, tensor in vars(moments).items():
                again = getattr(state.optimizers[name].moments[place], key)
                assert torch.equal(again, tensor) and again.stride() == tensor.stride(), key


def test_a_checkpoint_of_an_untrained_state_has_no_moments(tmp_path: Path) -> None:
    checkpoint.save_checkpoint(RunDir(tmp_path).checkpoint(0), TrainStep(CONFIG, SPEC, CPU), make_run_config(), 0.0)
    found = checkpoint.read_checkpoint(RunDir(tmp_path).checkpoint(0))
    assert not any(name.startswith("opt_") for name in found.tensors)
    checkpoint.check_checkpoint_fits(found, CONFIG, SPEC)


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], None]:
    def act(tensors: dict[str, Tensor]) -> None:
        tensors[name] = change(tensors[name])

    return act


STEP, SQUARES = "opt_D.0.step", "opt_D.0.exp_avg_sq"
TENSORS: dict[str, Callable[[dict[str, Tensor]], None]] = {
    "no tallies": lambda tensors: tensors.__delitem__("tallies"),
    "tallies of another shape": changed("tallies", lambda t: t[:, :1]),
    "one more": lambda tensors: tensors.update({"G.more": torch.zeros(1)}),
    "a network of half numbers": changed("G.out.weight", lambda t: t.half()),
    "moments of half numbers": changed(SQUARES, lambda t: t.half()),
    "complex moments": changed("opt_G.0.exp_avg", lambda t: t.to(torch.complex64)),
    "a moment alone": lambda tensors: tensors.__delitem__(SQUARES),
    "three steps": changed(STEP, lambda t: torch.ones(3)),
    "steps below 0": changed(STEP, lambda t: -t),
    "squares below 0": changed(SQUARES, lambda t: -1 - t),
    "a weight that is not finite": changed("G_ema.out.weight", lambda t: t * math.nan),
    "a moment that is not finite": changed(SQUARES, lambda t: t + math.inf),
}
META: dict[str, dict[str, Any]] = {
    "lr_factor": {"lr_factor": -1},
    "lr_factor, large": {"lr_factor": 1e30},
    "lr_factor, not a number": {"lr_factor": math.nan},
    "lr_factor, text": {"lr_factor": "1"},
    "strength": {"strength": 77},
    "train_s": {"train_s": -5e300},
    "train_s, not a number": {"train_s": math.nan},
    "nimg": {"nimg": -1},
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_the_run_are_refused(found: Checkpoint, name: str) -> None:
    tensors = dict(found.tensors)
    TENSORS[name](tensors)
    with pytest.raises(FileFormatError, match="does not fit the run"):
        checkpoint.check_checkpoint_fits(dataclasses.replace(found, tensors=tensors), CONFIG, SPEC)


@pytest.mark.parametrize("name", META)
def test_impossible_values_are_refused(found: Checkpoint, name: str) -> None:
    tensors, meta, _ = tensor_file.unpack_tensors("checkpoint", found.path)
    found.path.write_bytes(tensor_file.pack_tensors("checkpoint", tensors, meta | META[name]))
    with pytest.raises(FileFormatError):
        checkpoint.read_checkpoint(found.path)


def test_networks_of_another_size_are_not_built(found: Checkpoint) -> None:
    """They would need 5 GB."""
    large, before = dataclasses.replace(SPEC, g_width=4096, d_width=4096, z_dim=4096), peak_bytes()
    with pytest.raises(FileFormatError, match="weights"):
        checkpoint.check_checkpoint_fits(found, CONFIG, large)
    assert peak_bytes() - before < 1e9


def test_a_file_name_with_another_number_of_images_is_damage(found: Checkpoint) -> None:
    other = found.path.with_name("checkpoint-000000900.safetensors")
    found.path.rename(other)
    with pytest.raises(DamagedFileError, match="images seen"):
        checkpoint.read_checkpoint(other)
    assert tensor_file.unpack_tensors("checkpoint", other)
