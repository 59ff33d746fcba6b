"""The processes of one run, as torchrun starts them: what each computes, and what they tell each other."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from gancli.errors import ConfigError

PATIENCE = timedelta(hours=2)  # of a process that waits for the first one, which may be reading images


@dataclass(frozen=True)
class World:
    """One of `size` processes that train the same networks, each on its rows of every batch; the first has rank 0.

    Between calls of `average`, networks and optimisers are equal in all of them.
    """

    rank: int = 0
    size: int = 1

    def rows(self, n: int) -> slice:
        """Which of n things are this process's."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def places(self, n: int, parts: int) -> Tensor | None:
        """bool [n * size], which of the rows of so many batches, one after the other, are the n of this process; None
        if all are."""
        if self.size == 1:
            return None
        of_one = torch.zeros(n // parts * self.size, dtype=torch.bool)
        of_one[self.rows(len(of_one))] = True
        return of_one.repeat(parts)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over all processes into each of them, by one message of their length together.

        All have one type, and the same shapes everywhere.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))


ALONE = World()


def join(device: torch.device) -> World:
    """Meet the processes that torchrun started beside this one, if it did start this one. Raises ConfigError."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return ALONE
    if not dist.is_available():
        raise ConfigError("this torch was built without torch.distributed; run gancli without torchrun")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    return World(dist.get_rank(), dist.get_world_size())
