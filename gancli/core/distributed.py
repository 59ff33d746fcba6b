"""The processes that torchrun starts for one command, and the messages between them.

Only the first process reads settings, decides and writes. The others (gancli.workflows.followers) wait for its orders.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import torch
import torch.distributed as dist
from torch import Tensor

from gancli.core import devices
from gancli.errors import ConfigError, LostProcessError

LAUNCH_VARIABLES = "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"
TIMEOUT = timedelta(hours=2)  # longest wait for the first process, which may be reading images
STEP_TIMEOUT = timedelta(minutes=10)  # longest wait for the others in the middle of a step
ORDER_BYTES = 512  # size of an order without its content


class Order(msgspec.Struct, frozen=True, tag_field="order"):
    """An instruction to the other processes. Some orders have content: any number of bytes."""


class EndOrder(Order, frozen=True, tag="end"):
    """Nothing is left to do."""


class TrainOrder(Order, frozen=True, tag="train"):
    """Build an Engine. Content: the run's config as JSON."""


class StateOrder(Order, frozen=True, tag="state", kw_only=True):
    """Copy the state of the first process: these numbers, and its tensors. Content: the tensors, as safetensors."""

    nimg: int
    strength: float
    lr_factor: float


class StepOrder(Order, frozen=True, tag="step"):
    """Train one step."""

    total_nimg: int | None
    strength: float


class CompareOrder(Order, frozen=True, tag="compare"):
    """Send a digest of all weights."""


class ModelOrder(Order, frozen=True, tag="model"):
    """Load a model onto a device. Content: its file."""

    device: str


class ImagesOrder(Order, frozen=True, tag="images"):
    """Generate images with the loaded model. Content: seeds and classes as JSON."""

    trunc: float


class FeaturesOrder(Order, frozen=True, tag="features"):
    """Extract this process's part of the features of images. Content: the images, as safetensors."""

    name: str
    channels: int


class Message(msgspec.Struct, frozen=True):
    """An order and the length of its content, sent before the content."""

    order: EndOrder | TrainOrder | StateOrder | StepOrder | CompareOrder | ModelOrder | ImagesOrder | FeaturesOrder
    n_bytes: int


@dataclass(frozen=True)
class World:
    """One of `size` processes that train the same networks, each on its rows of every batch; the first has rank 0.

    Networks and optimisers are equal in all processes after each step, because `average` gives all of them the same
    gradients. group: the process group for averaging, with the backend of the device. store: a key-value store that all
    processes share.
    """

    rank: int = 0
    size: int = 1
    group: Any = None
    store: Any = None

    @property
    def has_followers(self) -> bool:
        """Whether other processes wait for orders of this one."""
        return self.size > 1 and self.rank == 0

    def on(self, device: torch.device) -> "World":
        """Return this world with a process group that averages tensors on this device. All processes must call it.

        Raises ConfigError if there are more processes than GPUs.
        """
        if self.size == 1:
            return self
        processes, gpus = devices.local_process_count(), torch.cuda.device_count()
        if device.type == "cuda" and processes > gpus:
            raise ConfigError(f"{processes} processes cannot share {gpus} GPUs; start at most one process per GPU")
        backend = "nccl" if device.type == "cuda" else "gloo"
        return dataclasses.replace(self, group=dist.new_group(backend=backend, timeout=STEP_TIMEOUT))

    def rows(self, n: int) -> slice:
        """Return the slice of n rows that belongs to this process."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def row_mask(self, n: int, parts: int) -> Tensor | None:
        """Return bool [n * size], True for the n rows of this process in `parts` whole batches, one after the other.

        None for a single process.
        """
        if self.size == 1:
            return None
        mask = torch.zeros(n // parts * self.size, dtype=torch.bool)
        mask[self.rows(len(mask))] = True
        return mask.repeat(parts)

    def check_shares(self, batch_sizes: Sequence[int]) -> None:
        """Raise ConfigError for a batch size that cannot be split equally between the processes."""
        if odd := [n for n in batch_sizes if n % self.size]:
            raise ConfigError(
                f"a batch of {odd[0]} images cannot be split equally between {self.size} processes; choose another "
                "--batch-size, and add --batch-ramp-kimg 0 if the run starts with smaller batches"
            )

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one message.

        All tensors must have one type, and the same shapes in every process. Raises LostProcessError.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with self.translate_dist_errors():
            dist.all_reduce(flat, group=self.group)
        flat /= self.size
        for tensor, mean in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def tell(self, order: Order, content: bytes = b"") -> None:
        """Send an order to the other processes. Raises LostProcessError."""
        if not self.has_followers:
            return
        text = msgspec.json.encode({"order": order, "n_bytes": len(content)})
        with self.translate_dist_errors():
            dist.broadcast(torch.frombuffer(bytearray(text.ljust(ORDER_BYTES)), dtype=torch.uint8), 0)
            if content:
                dist.broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8), 0)

    def receive_order(self) -> tuple[Order, bytes]:
        """Wait for the next order of the first process; return it and its content. Raises LostProcessError."""
        slot = torch.empty(ORDER_BYTES, dtype=torch.uint8)
        with self.translate_dist_errors():
            dist.broadcast(slot, 0)
            message = msgspec.json.decode(slot.numpy().tobytes(), type=Message)
            content = torch.empty(message.n_bytes, dtype=torch.uint8)
            if len(content):
                dist.broadcast(content, 0)
        return message.order, content.numpy().tobytes()

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Collect a CPU tensor of one shape from every process, ordered by rank; [] except in the first process.

        Raises LostProcessError.
        """
        gathered = [torch.empty_like(tensor) for _ in range(self.size if self.rank == 0 else 0)]
        with self.translate_dist_errors():
            dist.gather(tensor, gathered or None)
        return gathered

    @contextlib.contextmanager
    def translate_dist_errors(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as err:
            is_late = "timed out" in str(err).lower()
            what = "did not answer in time" if is_late else "exited unexpectedly (killed, or out of memory?)"
            raise LostProcessError(f"one of the {self.size} processes {what}") from err

    def claim_error_report(self) -> bool:
        """Whether this process should report the error: True for the first one that asks, so users see one message."""
        if self.store is None:
            return True
        try:
            return int(self.store.add("spoken", 1)) == 1
        except RuntimeError:  # the store ends with the first process
            return self.rank == 0


ALONE = World()


def join_world() -> World:
    """Connect to the other processes. Raises ConfigError."""
    if not dist.is_available():
        raise ConfigError("this torch was built without torch.distributed; run gancli without torchrun")
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
        store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as err:
        given = ", ".join(f"{name}={os.environ.get(name, '')}" for name in LAUNCH_VARIABLES)
        raise ConfigError(f"cannot connect to the other processes ({given}): {str(err).splitlines()[0]}") from err
    if torch.cuda.is_available():
        torch.cuda.set_device(
            int(os.environ.get("LOCAL_RANK", rank)) % torch.cuda.device_count()
        )  # `on` raises an error if there are too many
    return World(rank, size, store=store)


def leave_world(world: World) -> None:
    """End the other processes and close the connections.

    Threads of gloo that still run while Python exits can abort the process.
    """
    world.tell(EndOrder())
    with contextlib.suppress(RuntimeError):
        dist.destroy_process_group()
