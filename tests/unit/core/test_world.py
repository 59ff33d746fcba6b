"""One process and two train the same networks at the same batch."""

import subprocess
import sys

import pytest
import safetensors.torch
import shared_steps
import torch
from torch import Tensor

from gancli.core.world import ALONE, World

Found = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("steps")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for prefix in ([sys.executable], torchrun):
        end = subprocess.run([*prefix, shared_steps.__file__, str(folder)], capture_output=True, text=True)
        assert end.returncode == 0, end.stderr
    return {path.stem: safetensors.torch.load_file(path) for path in folder.iterdir()}


@pytest.mark.parametrize("name", shared_steps.RECIPES)
def test_the_gradients_of_a_step_in_float32(name: str, found: Found) -> None:
    alone, first, second = (found[f"gradients-{who}"] for who in ("0-of-1", "0-of-2", "1-of-2"))
    keys = [key for key in alone if key.startswith(f"{name}/")]
    assert len(keys) > 8 and any(alone[key].abs().max() > 1e-3 for key in keys)
    for key in keys:
        torch.testing.assert_close(first[key], alone[key], rtol=0, atol=1e-5)
        assert torch.equal(first[key], second[key])


@pytest.mark.parametrize("name", shared_steps.RECIPES)
def test_fifty_steps_in_float64(name: str, found: Found) -> None:
    """Weights, averages and what was tallied."""
    alone, first, second = (found[f"weights-{who}"] for who in ("0-of-1", "0-of-2", "1-of-2"))
    keys = [key for key in alone if key.startswith(f"{name}/")]
    assert f"{name}/tallies" in keys and len(keys) > 9
    for key in keys:
        torch.testing.assert_close(first[key], alone[key], rtol=0, atol=1e-9)
        assert torch.equal(first[key], second[key])


def test_the_recipes_have_every_loss_and_penalty() -> None:
    from gancli.core.losses import LOSSES
    from gancli.core.models import MODELS

    settings = [more for _, _, more in shared_steps.RECIPES.values()]
    assert {more.get("loss", "non-saturating") for more in settings} == LOSSES.keys()
    assert {model for model, _, _ in shared_steps.RECIPES.values()} == MODELS.keys()
    for name in ("gamma", "r2", "gradient_penalty", "spectral_norm", "shift", "augment"):
        assert any(more.get(name) for more in settings), name


@pytest.mark.parametrize(("size", "n"), [(1, 7), (2, 8), (3, 8), (4, 64)])
def test_every_row_is_one_process_s(size: int, n: int) -> None:
    rows = [row for rank in range(size) for row in range(n)[World(rank, size).rows(n)]]
    assert rows == [*range(n)]


def test_the_places_of_two_batches_in_a_row() -> None:
    assert World(1, 2).places(4, 2).tolist() == [False, False, True, True] * 2  # type: ignore[union-attr]
    assert World(0, 4).places(1, 1).tolist() == [True, False, False, False]  # type: ignore[union-attr]
    assert ALONE.places(8, 2) is None
