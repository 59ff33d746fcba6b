"""What only a GPU shows. `--gpu-device cpu` tries these tests without one, except those that need CUDA."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gancli import events, presets
from gancli.core.data import load
from gancli.core.data.dataset import ImageSet
from gancli.core.networks.build import build_networks
from gancli.core.sampling.generate import generate
from gancli.core.training import run_config, trial
from gancli.core.training.engine import Engine
from gancli.core.training.trainer import Trainer
from gancli.errors import MemoryLimitError
from gancli.files.run_config import RunConfig
from gancli.files.run_folder import RunDir

pytestmark = pytest.mark.gpu
SMALL: dict[str, Any] = {
    "z_dim": 8,
    "g_width": 16,
    "d_width": 16,
    "batch_size": 8,
    "batch_ramp_kimg": 0.0,
    "kimg": 1.0,
    "eval_kimg": 0.0,
}
RECIPES: dict[str, dict[str, Any]] = {
    "lazy R1": {"model": "conv", "gamma": 1.0, "r1_interval": 2, "augment": "color,translation,cutout,flip"},
    "R1 and R2": {"model": "resnet", "gamma": 1.0, "r2": True, "loss": "relativistic", "r1_interval": 1},
    "gradient penalty": {"model": "mlp", "gamma": 0.0, "gradient_penalty": 10.0, "spectral_norm": True, "mirror": True},
}


def plan(folder: Path, device: torch.device, **settings: object) -> tuple[RunConfig, ImageSet]:
    flags = {"data": str(folder), **SMALL, **settings, "device": device.type}
    data = load.load_dataset(str(folder))
    return run_config.build_run_config(*presets.resolve_config("quick", flags=flags), data), data


@pytest.fixture
def loud_syncs(cuda: torch.device) -> Iterator[torch.device]:
    """CUDA, with an error where the host waits for the device."""
    yield cuda
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("recipe", RECIPES)
def test_no_step_waits_for_the_device(loud_syncs: torch.device, tiny_idx: Path, recipe: str) -> None:
    engine = Engine(*plan(tiny_idx, loud_syncs, **RECIPES[recipe]))
    for _ in range(2):
        engine.step()  # Adam's moments, pinned memory
    torch.cuda.set_sync_debug_mode("error")
    for _ in range(2):
        engine.step()


@pytest.mark.parametrize("recipe", RECIPES)
def test_images_on_the_host_train_as_images_on_the_device_do(gpu: torch.device, tiny_idx: Path, recipe: str) -> None:
    copied, resident = (Engine(*plan(tiny_idx, gpu, **RECIPES[recipe])) for _ in range(2))
    copied.images = copied.images.cpu()
    for engine in (copied, resident):
        engine.step()
        engine.step()
    torch.testing.assert_close(copied.state.tallies, resident.state.tallies, rtol=1e-3, atol=1e-3)
    assert copied.state.nimg == 16 and resident.images.device.type == gpu.type


def test_a_batch_too_large_for_the_gpu_is_refused_with_a_size_that_fits(cuda: torch.device, tiny_idx: Path) -> None:
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1e9 / total))
    try:
        record, data = plan(tiny_idx, cuda, g_width=512, d_width=512, batch_size=60_000)
        with pytest.raises(MemoryLimitError, match=r"does not fit into the memory of cuda; use --batch-size \d+"):
            trial.run_trial(record, data)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_diverged_step_is_noticed_at_the_next_tick(
    gpu: torch.device, tiny_idx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU in the same step, on a GPU only there, since looking waits for the device."""
    record, data = plan(tiny_idx, gpu, model="mlp", tick_kimg=0.04, snapshot_kimg=0.04, kimg=0.16)
    trainer = Trainer(RunDir.create(tmp_path / "runs", "diverged"), record, data)
    step, spoilt_at = trainer.engine.step, [88]

    def spoil() -> None:
        if trainer.state.nimg in spoilt_at:
            spoilt_at.clear()
            next(trainer.state.D.parameters()).data.fill_(float("nan"))
        step()

    monkeypatch.setattr(trainer.engine, "step", spoil)
    seen = list(trainer.run())
    (warned,) = [event for event in seen if isinstance(event, events.Warned) and event.name == "diverged"]
    noticed = "0.096" if gpu.type == "cpu" else "0.12"
    assert f"not finite at {noticed} kimg" in warned.text and warned.nimg == 80
    assert trainer.is_finished and trainer.state.is_finite()


def test_samples_are_those_of_the_cpu_up_to_rounding(gpu: torch.device, tiny_idx: Path) -> None:
    spec = plan(tiny_idx, gpu, model="conv")[0].model_spec
    G, _ = build_networks(spec, 3)
    z = torch.randn(20, spec.z_dim, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(20) % spec.n_classes
    on_cpu = generate(G, z, labels).int()
    off = (generate(G.to(gpu), z, labels).int() - on_cpu).abs()
    assert off.max() <= 1 and on_cpu.float().std() > 1
