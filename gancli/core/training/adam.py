"""Adam with accessible moments. torch.optim would import torch's compiler, which takes seconds at every start."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EPSILON = 1e-8


@dataclass(frozen=True, eq=False)
class AdamMoments:
    """Adam's state for one weight: running mean and mean square of its gradients, and the number of steps, float32 [].

    The means have the weight's shape and memory layout: the fused kernel reads memory in order, so with another layout
    it would combine an element of the weight with the mean of another. `step` is on the weight's device if this device
    has the kernel, else on the CPU.
    """

    exp_avg: Tensor
    exp_avg_sq: Tensor
    step: Tensor


class Adam:
    """Kingma and Ba 2015 (1412.6980), algorithm 1; on a CPU or GPU bit-identical to torch.optim.Adam(fused=True).

    moments: index of a weight in `parameters` -> its moments; a weight without a gradient so far has none.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.lr, self.betas = 1e-3, (0.9, 0.999)
        self.is_fused = all(weight.device.type in ("cpu", "cuda") for weight in self.parameters)
        self.moments: dict[int, AdamMoments] = {}

    def gradients(self) -> list[Tensor]:
        return [weight.grad for weight in self.parameters if weight.grad is not None]

    def freeze(self, is_frozen: bool) -> None:
        """Turn the gradients of all weights off or on."""
        for weight in self.parameters:
            weight.requires_grad_(not is_frozen)

    def zero_grad(self) -> None:
        for weight in self.parameters:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update each weight that has a gradient."""
        weights, grads, moments = list[Tensor](), list[Tensor](), list[AdamMoments]()
        for place, weight in enumerate(self.parameters):
            if weight.grad is None:
                continue
            if place not in self.moments:
                self.moments[place] = self.fresh(weight)
            weights.append(weight)
            grads.append(weight.grad)
            moments.append(self.moments[place])
        steps = [moment.step for moment in moments]
        torch._foreach_add_(steps, 1)
        if not self.is_fused:
            for each in zip(weights, grads, moments, strict=True):
                adam_step(*each, self.lr, self.betas)
            return
        torch._fused_adam_(
            weights,
            grads,
            [moment.exp_avg for moment in moments],
            [moment.exp_avg_sq for moment in moments],
            [],
            steps,
            lr=self.lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=EPSILON,
            weight_decay=0.0,
            amsgrad=False,
            maximize=False,
        )

    def fresh(self, weight: nn.Parameter) -> AdamMoments:
        device = (
            weight.device if self.is_fused else "cpu"
        )  # adam_step reads it, and reading it from a device would wait
        return AdamMoments(
            torch.zeros_like(weight), torch.zeros_like(weight), torch.zeros((), dtype=torch.float32, device=device)
        )

    @torch.no_grad()
    def restore(self, saved: Sequence[Mapping[str, Tensor]]) -> None:
        """Load moments. saved: for each weight `vars(moments)`, or an empty mapping if it has none."""
        self.moments = {place: self.fresh(self.parameters[place]) for place, values in enumerate(saved) if values}
        for place, moments in self.moments.items():
            for name, tensor in vars(moments).items():
                tensor.copy_(saved[place][name])


def adam_step(weight: Tensor, grad: Tensor, moments: AdamMoments, lr: float, betas: tuple[float, float]) -> None:
    """Update one weight, on devices without the fused kernel."""
    (beta1, beta2), n = betas, moments.step.item()
    moments.exp_avg.lerp_(grad, 1 - beta1)
    moments.exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    root = (moments.exp_avg_sq / (1 - beta2**n)).sqrt() + EPSILON
    weight.addcdiv_(moments.exp_avg, root, value=-lr / (1 - beta1**n))
