"""Adam compared with torch's, which gives the same bits if it has the fused kernel."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from gancli.core.training import adam
from gancli.core.training.adam import Adam

STEPS = 20
RATES = [(2e-3 * 0.9**n, (0.0 if n < 5 else 0.5, 0.9 + n / 1000)) for n in range(STEPS)]


def weights() -> list[nn.Parameter]:
    """One per kind: a convolution's, channels last; a vector; a number; one that is trained from the sixth step on."""
    draws = torch.Generator().manual_seed(1)
    drawn = [torch.randn(shape, generator=draws) for shape in ((8, 6, 3, 3), (33,), (), (5, 7))]
    drawn[0] = drawn[0].contiguous(memory_format=torch.channels_last)
    return [nn.Parameter(tensor) for tensor in drawn]


def gradients() -> Iterator[list[Tensor | None]]:
    draws = torch.Generator().manual_seed(2)
    for n in range(STEPS):
        drawn = [torch.randn(weight.shape, generator=draws) for weight in weights()]
        drawn[0] = drawn[0].contiguous(memory_format=torch.channels_last)
        yield [*drawn[:3], drawn[3] if n >= 5 else None]


def trained_by_torch() -> tuple[list[nn.Parameter], "torch.optim.Adam"]:
    ours = weights()
    optimizer = torch.optim.Adam(ours, fused=True)
    for (lr, betas), grads in zip(RATES, gradients(), strict=True):
        optimizer.param_groups[0].update(lr=lr, betas=betas)
        for weight, grad in zip(ours, grads, strict=True):
            weight.grad = grad
        optimizer.step()
    return ours, optimizer


def trained(make: Callable[[list[nn.Parameter]], Adam] = Adam, restart_at: int = STEPS) -> Adam:
    """At one of the steps, a new optimiser continues from the moments of the old one."""
    optimizer = make(weights())
    for n, ((optimizer.lr, optimizer.betas), grads) in enumerate(zip(RATES, gradients(), strict=True)):
        if n == restart_at:
            old, optimizer = optimizer, make(optimizer.parameters)
            saved = [vars(old.moments[i]) if i in old.moments else {} for i in range(4)]
            optimizer.restore([{name: tensor.contiguous() for name, tensor in of.items()} for of in saved])
            optimizer.lr, optimizer.betas = old.lr, old.betas
        for weight, grad in zip(optimizer.parameters, grads, strict=True):
            weight.grad = grad
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("restart_at", [STEPS, 3, 10])
def test_twenty_steps_equal_those_of_torch_bit_for_bit(restart_at: int) -> None:
    theirs, reference = trained_by_torch()
    optimizer = trained(restart_at=restart_at)
    assert len(optimizer.moments) == len(theirs) == 4
    for place, weight in enumerate(theirs):
        assert torch.equal(optimizer.parameters[place], weight)
        for name, tensor in reference.state[weight].items():
            ours = getattr(optimizer.moments[place], name)
            assert torch.equal(ours, tensor) and ours.stride() == tensor.stride() and ours.dtype == tensor.dtype, name
    assert [moments.step.item() for moments in optimizer.moments.values()] == [STEPS, STEPS, STEPS, STEPS - 5]


def test_without_the_kernel_the_formula_gives_the_same() -> None:
    def plain(parameters: list[nn.Parameter]) -> Adam:
        optimizer = Adam(parameters)
        optimizer.is_fused = False
        return optimizer

    theirs, _ = trained_by_torch()
    for ours, weight in zip(trained(plain).parameters, theirs, strict=True):
        torch.testing.assert_close(ours, weight, rtol=1e-5, atol=1e-6)


def test_the_first_step_is_the_rate_against_the_sign_of_the_gradient() -> None:
    """mean / (1 - beta1) = g and square / (1 - beta2) = g^2, so the step is -lr g / |g|."""
    weight = nn.Parameter(torch.zeros(2))
    moments = Adam([weight]).fresh(weight)
    moments.step.fill_(1)
    with torch.no_grad():
        adam.adam_step(weight, torch.tensor([3.0, -0.5]), moments, 0.1, (0.5, 0.9))
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.1, 0.1]))


def test_a_weight_without_a_gradient_stays_and_has_no_moments() -> None:
    optimizer = Adam(weights())
    optimizer.parameters[1].grad = torch.ones(33)
    optimizer.step()
    assert list(optimizer.moments) == [1] and optimizer.moments[1].step == 1
    assert torch.equal(optimizer.parameters[0], weights()[0])
    assert not torch.equal(optimizer.parameters[1], weights()[1])
    optimizer.zero_grad()
    assert optimizer.parameters[1].grad is None


TRAIN = """
import sys
from pathlib import Path
from gancli import presets
from gancli.core.data import clusters, load
from gancli.core.training import run_config, trial
from gancli.core.training.trainer import Trainer
from gancli.files.run_folder import RunDir
flags = {"data": sys.argv[1], "kimg": 0.1, "g_width": 8, "d_width": 8, "eval_kimg": 0, "spectral_norm": True}
name, config, sources = presets.resolve_config(None, flags=flags)
images = clusters.with_training_labels(load.load_dataset(config.data), conditional=True, clusters=0)
record = run_config.build_run_config(name, config, sources, images)
trial.run_trial(record, images)
run = RunDir.create(Path("runs"), "x")
print(len(list(Trainer(run, record, images).run())))
print([name for name in sys.modules if name in ("torch._dynamo", "torch._inductor", "sympy")])
print(Trainer.resume(run, record, images).is_finished)
print([name for name in sys.modules if name in ("torch._dynamo", "torch._inductor")])
"""


def test_training_and_resuming_import_no_compiler(tiny_idx: object) -> None:
    """torch.optim would import torch._dynamo, which takes as long as torch itself."""
    end = subprocess.run([sys.executable, "-c", TRAIN, str(tiny_idx)], capture_output=True, text=True)
    n_events, trained, is_resumed, resumed = end.stdout.splitlines()
    assert int(n_events) > 2 and is_resumed == "True" and trained == resumed == "[]", end.stderr
