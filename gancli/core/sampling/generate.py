"""Generate images with a model. All samples and all scores use this code."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gancli.core import images
from gancli.core.distributed import ALONE, ImagesOrder, ModelOrder, World
from gancli.core.networks import model_file
from gancli.core.networks.model_file import Model
from gancli.core.sampling import latents

BATCH = 64


@torch.inference_mode()
def generate(G: nn.Module, z: Tensor, labels: Tensor | None = None) -> Tensor:
    """Generate images: z [n, z_dim] and, for a conditional G, labels -> uint8 [n,C,H,W] on the CPU.

    labels: int64 [n], or class weights float [n, n_classes] that blend classes; a one-hot row is that class.

    G always gets batches of one fixed shape (the last one is padded), so on a CPU an image has the same pixels in any
    batch.
    """
    device = next(G.parameters()).device
    training = G.training
    G.eval()
    pictures = []
    for start in range(0, len(z), BATCH):
        rows = torch.arange(start, start + BATCH).clamp_(max=len(z) - 1)
        made = G(z[rows].to(device), None if labels is None else labels[rows].to(device))
        pictures.append(images.to_uint8(made).cpu().contiguous()[: len(z) - start])
    if training:
        G.train()
    return torch.cat(pictures)


@dataclass(frozen=True)
class SampleRequest:
    """The images to generate, in order: every seed in each of the classes; by default, every seed in its own class.

    trunc: see latents.truncate_latents. scale: zoom factor in files.
    """

    seeds: Sequence[int]
    classes: tuple[int, ...] = ()
    trunc: float = 1
    scale: int = 1

    def __len__(self) -> int:
        return len(self.seeds) * max(1, len(self.classes))

    def first(self, n: int) -> "SampleRequest":
        """Return a request for the first seeds only: as many seeds as fit into n images."""
        return dataclasses.replace(self, seeds=self.seeds[: n // max(1, len(self.classes))])

    def part(self, start: int, stop: int) -> "SeedsAndLabels":
        """Return the seeds of the images from start to stop, and their classes if classes were chosen."""
        k = len(self.classes)
        seeds = [self.seeds[i // max(1, k)] for i in range(start, min(stop, len(self)))]
        return seeds, [self.classes[i % k] for i in range(start, min(stop, len(self)))] if k else None


SeedsAndLabels = tuple[list[int], list[int] | None]


class SampleBatch(NamedTuple):
    """Images uint8 [b,C,H,W], b at most BATCH, their seeds, and their classes if the model is conditional."""

    seeds: list[int]
    pictures: Tensor
    labels: list[int] | None


def generate_samples(model: Model, request: SampleRequest, world: World = ALONE) -> Iterator[SampleBatch]:
    """Stream the images of a request. Each process generates one batch at a time. Raises LostProcessError."""
    if world.has_followers:
        device = next(model.G.parameters()).device.type
        world.tell(ModelOrder(device), model_file.pack_model(model.G, model.info))
    turn = BATCH * world.size
    for start in range(0, len(request), turn):
        parts = [request.part(i, i + BATCH) for i in range(start, min(start + turn, len(request)), BATCH)]
        if world.has_followers:
            world.tell(ImagesOrder(request.trunc), json.dumps(parts).encode())
        yield from generate_parts(model, parts, request.trunc, world)


def generate_parts(model: Model, parts: Sequence[SeedsAndLabels], trunc: float, world: World) -> list[SampleBatch]:
    """Generate each part in a process of its own. Returns all batches in the first process, [] in the others."""
    seeds, labels = parts[min(world.rank, len(parts) - 1)]
    z = latents.truncate_latents(latents.latents_from_seeds(seeds, model.info.spec.z_dim), trunc)
    chosen = sample_labels(model, seeds, labels)
    made = generate(model.G, z, None if chosen is None else torch.tensor(chosen))
    if world.size == 1:
        return [SampleBatch(seeds, made, chosen)]
    every = world.gather(torch.cat([made, made[-1:].expand(BATCH - len(made), -1, -1, -1)]))
    return [
        SampleBatch(seeds, pictures[: len(seeds)], sample_labels(model, seeds, labels))
        for (seeds, labels), pictures in zip(parts, every, strict=False)
    ]


def sample_labels(model: Model, seeds: list[int], labels: list[int] | None) -> list[int] | None:
    """Return the chosen classes, or by default the classes of the seeds; None for an unconditional model."""
    counts = model.info.class_counts
    return (labels or latents.classes_from_seeds(seeds, counts).tolist()) if counts else None
