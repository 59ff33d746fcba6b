"""The computing part of training: the networks, the images, and a step on the next batch. Writes no files.

With several processes, each has an engine. The engine of the first process sends its actions as orders, and the others
repeat them.
"""

import json

import safetensors.torch
import torch
from torch import Tensor

from gancli.core import devices, rng
from gancli.core.data.dataset import ImageSet
from gancli.core.data.load import batch_indices
from gancli.core.distributed import ALONE, CompareOrder, Order, StateOrder, StepOrder, TrainOrder, World
from gancli.core.networks import tensor_file
from gancli.core.training import augment, checkpoint, finetune, schedules
from gancli.core.training.step import TrainStep, min_training_bytes
from gancli.errors import LostProcessError, MemoryLimitError
from gancli.files.run_config import RunConfig, to_json

HEALTH_IMAGES = 256  # images of each kind (training, held-out, generated) for the health signals


class Engine:
    """Trains on one batch after another.

    record: the config of the run. total_nimg: total images of the plan; the trainer updates it when the plan changes.
    """

    def __init__(
        self,
        record: RunConfig,
        data: ImageSet,
        world: World = ALONE,
        init: finetune.PretrainedNetworks | None = None,
    ) -> None:
        self.config, self.machine, self.spec = record.train, record.machine, record.model_spec
        self.total_nimg = record.plan.total_nimg
        self.data = data
        self.device = devices.resolve_device(self.machine.device)
        devices.check_precision(self.machine.precision, self.device)
        devices.configure_torch(self.machine.threads, self.machine.precision)
        world.tell(TrainOrder(), json.dumps(to_json(record)).encode())
        self.world = world.on(self.device)
        self.state = self.build_state(data)
        if init is not None:
            finetune.apply_pretrained(self.state, init, record)
        self.images = data.images.to(self.device) if devices.has_room_for(self.device, data.images) else data.images
        self.labels = data.labels.to(self.device) if self.spec.n_classes and data.labels is not None else None

    def build_state(self, data: ImageSet) -> TrainStep:
        """Build networks and optimisers. Raises MemoryLimitError; if they cannot fit, it allocates nothing first."""
        what = f"networks of --g-width {self.spec.g_width} and --d-width {self.spec.d_width}"
        needed, available = min_training_bytes(self.config, self.spec), devices.usable_memory_bytes(self.device)
        if needed > available:
            sizes = f"need {needed / 1e9:.1f} GB to train, but {self.device.type} has {available / 1e9:.1f} GB"
            raise MemoryLimitError(f"{what} {sizes}; lower the widths")
        is_changed = self.config.augment != "none" or self.config.shift > 0
        background = augment.border_level(data.images) if is_changed else None
        try:
            return TrainStep(self.config, self.spec, self.device, background, self.world, self.machine.precision)
        except RuntimeError as err:
            if not devices.is_out_of_memory(err):
                raise
            raise MemoryLimitError(
                f"{what} do not fit into the free memory of {self.device.type}; free some memory, or lower the widths"
            ) from err

    @property
    def batch_size(self) -> int:
        """Number of images in the next step, over all processes."""
        return schedules.ramped_batch_size(self.state.nimg, self.config.batch_size, self.config.batch_ramp_kimg * 1000)

    def send_state(self) -> None:
        """Send the state of this process to the others."""
        if self.world.has_followers:
            state, tensors = self.state, tensor_file.contiguous_tensors(checkpoint.state_tensors(self.state))
            order = StateOrder(nimg=state.nimg, strength=state.strength, lr_factor=state.lr_factor)
            self.world.tell(order, safetensors.torch.save(tensors))

    def check_equal(self) -> None:
        """Raise LostProcessError if the state of another process differs from the state of this one."""
        if self.world.has_followers:
            self.world.tell(CompareOrder())
            own, *others = self.gather_digests()
            odd = [str(rank) for rank, other in enumerate(others, 1) if not torch.equal(own, other)]
            if odd:
                nimg = self.state.nimg / 1000
                raise LostProcessError(
                    f"process {', '.join(odd)} has different weights from process 0 at {nimg:g} kimg"
                )

    def gather_digests(self) -> list[Tensor]:
        """Return the digests of the states of all processes, uint8 [32] each; [] except in the first process."""
        tensors = checkpoint.state_tensors(self.state)
        del tensors["tallies"]  # only the first process reads them, and reading resets them
        digest = bytes.fromhex(
            tensor_file.content_digest("state", tensor_file.contiguous_tensors(tensors), str(self.state.nimg))
        )
        return self.world.gather(torch.frombuffer(bytearray(digest), dtype=torch.uint8))

    def execute_order(self, order: Order, content: bytes) -> None:
        """Execute an order of the first process."""
        match order:
            case StepOrder():
                self.total_nimg, self.state.strength = order.total_nimg, order.strength
                self.step()
            case StateOrder():
                tensors = safetensors.torch.load(content)
                checkpoint.fill_state(self.state, tensors, order.nimg, order.strength, order.lr_factor)
            case CompareOrder():
                self.gather_digests()
            case _:
                raise ValueError(f"an order that no engine understands: {order}")

    def step(self, batch_size: int | None = None) -> None:
        """Train on the next batch. batch_size: replaces the planned size; for a single process only.

        Raises MemoryLimitError, LostProcessError.
        """
        self.world.tell(StepOrder(self.total_nimg, self.state.strength))
        nimg, config, n = self.state.nimg, self.config, batch_size or self.batch_size
        rows = self.world.rows(n)
        index = batch_indices(len(self.images), config.seed, nimg, n)[rows]
        real = self.select_images(index)
        labels = None if self.labels is None else self.labels[devices.move_to_device(index, self.device)]
        if config.mirror:
            is_mirrored = torch.rand(n, generator=rng.generator(config.seed, "mirror", nimg)) < 0.5
            real = augment.mirror_images(real, devices.move_to_device(is_mirrored[rows], self.device))
        t, epochs = schedules.part_done(nimg, self.total_nimg), nimg / len(self.images)
        try:
            self.state.step(real, labels, t, epochs)
        except RuntimeError as err:
            if not devices.is_out_of_memory(err):
                raise
            side, device = self.spec.resolution, self.device.type
            raise MemoryLimitError(
                f"a batch of {n} images of {side}x{side} does not fit into the memory of {device}"
            ) from err

    def select_images(self, index: Tensor) -> Tensor:
        """Return the training images with these indices, on the device."""
        index = devices.move_to_device(index, self.images.device)
        return devices.move_to_device(self.images.index_select(0, index), self.device)

    def signals(self) -> dict[str, float | None]:
        """Compute the health signals of the state on training and held-out images that are drawn for this nimg."""
        draws = rng.generator(self.config.seed, "watch", self.state.nimg)
        data, is_labelled = self.data, self.labels is not None
        n_heldout = data.n_judgeable_heldout(labelled=is_labelled)
        seen = torch.randint(len(self.images), (HEALTH_IMAGES,), generator=draws)
        unseen = torch.randint(max(n_heldout, 1), (HEALTH_IMAGES if n_heldout else 0,), generator=draws)
        return self.state.signals(
            self.select_images(seen),
            None if self.labels is None else self.labels[seen.to(self.device)],
            data.heldout_images[unseen].to(self.device),
            data.heldout_labels[unseen].to(self.device) if is_labelled and data.heldout_labels is not None else None,
        )
