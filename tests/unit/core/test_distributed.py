"""One process and two train the same networks at the same batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import shared_steps
import torch
from torch import Tensor

from gancli import presets
from gancli.core.data import load
from gancli.core.distributed import ALONE, EndOrder, StepOrder, World
from gancli.core.training import run_config
from gancli.core.training.engine import Engine
from gancli.errors import ConfigError
from gancli.metrics.features import Extractor
from gancli.workflows import evaluation

Found = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("steps")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for prefix in ([sys.executable], torchrun):
        end = subprocess.run([*prefix, shared_steps.__file__, str(folder)], capture_output=True, text=True)
        assert end.returncode == 0, end.stderr
    return {path.stem: safetensors.torch.load_file(path) for path in folder.iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("name", shared_steps.RECIPES)
def test_the_gradients_of_a_step_in_float32(name: str, found: Found) -> None:
    alone, first, second = (found[f"gradients-{who}"] for who in ("0-of-1", "0-of-2", "1-of-2"))
    keys = [key for key in alone if key.startswith(f"{name}/")]
    assert len(keys) > 8 and any(alone[key].abs().max() > 1e-3 for key in keys)
    for key in keys:
        torch.testing.assert_close(first[key], alone[key], rtol=0, atol=1e-5)
        assert torch.equal(first[key], second[key])


@pytest.mark.long
@pytest.mark.parametrize("name", shared_steps.RECIPES)
def test_fifty_steps_in_float64(name: str, found: Found) -> None:
    """Compares weights, averages and statistics."""
    alone, first, second = (found[f"weights-{who}"] for who in ("0-of-1", "0-of-2", "1-of-2"))
    keys = [key for key in alone if key.startswith(f"{name}/")]
    assert f"{name}/tallies" in keys and len(keys) > 9
    for key in keys:
        torch.testing.assert_close(first[key], alone[key], rtol=0, atol=1e-9)
        assert torch.equal(first[key], second[key])


def test_the_recipes_have_every_loss_and_penalty() -> None:
    from gancli.core.networks.build import MODELS
    from gancli.core.training.losses import LOSSES

    settings = [more for _, _, more in shared_steps.RECIPES.values()]
    assert {more.get("loss", "non-saturating") for more in settings} == LOSSES.keys()
    assert {model for model, _, _ in shared_steps.RECIPES.values()} == MODELS.keys()
    for name in ("gamma", "r2", "gradient_penalty", "spectral_norm", "shift", "augment"):
        assert any(more.get(name) for more in settings), name


@pytest.mark.parametrize(("size", "n"), [(1, 7), (2, 8), (3, 8), (4, 64)])
def test_every_row_belongs_to_one_process(size: int, n: int) -> None:
    rows = [row for rank in range(size) for row in range(n)[World(rank, size).rows(n)]]
    assert rows == [*range(n)]


def test_the_rows_of_two_batches_in_a_row() -> None:
    assert World(1, 2).row_mask(4, 2).tolist() == [False, False, True, True] * 2  # type: ignore[union-attr]
    assert World(0, 4).row_mask(1, 1).tolist() == [True, False, False, False]  # type: ignore[union-attr]
    assert ALONE.row_mask(8, 2) is None


def test_batches_that_do_not_split_evenly_are_refused() -> None:
    World(0, 4).check_shares([8, 16])
    with pytest.raises(ConfigError, match=r"10 .*4 processes"):
        World(0, 4).check_shares([8, 10])


def test_orders_set_the_decisions_of_the_first_process(tiny_idx: Path) -> None:
    images = load.load_dataset(str(tiny_idx))
    flags = {"g_width": 8, "d_width": 8, "batch_size": 8, "kimg": 1.0, "threads": 1, "batch_ramp_kimg": 0}
    engine = Engine(run_config.build_run_config(*presets.resolve_config("quick", flags=flags), images), images)
    engine.execute_order(StepOrder(500, 0.25), b"")
    assert (engine.state.nimg, engine.total_nimg, engine.state.strength) == (8, 500, 0.25)
    with pytest.raises(ValueError, match="no engine understands: EndOrder"):
        engine.execute_order(EndOrder(), b"")


def test_features_from_several_processes_are_in_image_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def network(images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1).float(), images[:, 0, 0, 0].long()

    def gathered(self: World, mine: Tensor) -> list[Tensor]:
        return [mine, mine + 4]  # as for the other process, whose images follow those of this one

    monkeypatch.setattr(World, "gather", gathered)
    monkeypatch.setattr(World, "tell", lambda self, order, content: None)
    extractor = evaluation.share_extractor(Extractor("numbers", network, "", batch=4), World(0, 2))
    values, labels = extractor.network(torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1))
    assert extractor.batch == 8 and labels is not None
    assert values[:, 0].tolist() == labels.tolist() == list(range(8))
