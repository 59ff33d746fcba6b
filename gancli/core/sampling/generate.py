"""The one door for images: every picture and every score comes from here."""

import json
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from gancli.core import images
from gancli.core.distributed import ImagesOrder, ModelOrder
from gancli.core.networks import model_file
from gancli.core.networks.model_file import Model
from gancli.core.sampling import latents

BATCH = 64


@torch.inference_mode()
def generate(G: nn.Module, z: Tensor, labels: Tensor | None = None) -> Tensor:
    """z [n, z_dim] and, for a conditional G, labels -> uint8 [n,C,H,W] on the CPU.

    labels: int64 [n], or class weights float [n, n_classes] that blend classes; all weight on one is that class.

    G always sees batches of one fixed shape, the last one padded, so that on a CPU an image has the same pixels
    whatever it is generated with.
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


def generate_from_seeds(
    model: Model, seeds: Sequence[int], labels: Sequence[int] | None = None, *, trunc: float = 1
) -> Iterator[tuple[Sequence[int], Tensor, Tensor | None]]:
    """Images of seeds, as a stream of (seeds, uint8 [b,C,H,W], labels int64 [b] or None), b at most BATCH.

    Without labels, a conditional model takes the class that each seed stands for. trunc: latents.truncate.
    The processes of the model's world make a part each. Raises LostError.
    """
    world = model.world
    if world.has_followers:
        device = next(model.G.parameters()).device.type
        world.tell(ModelOrder(device), model_file.pack_model(model.G, model.info))
    parts = [slice(start, start + BATCH) for start in range(0, len(seeds), BATCH)]
    for start in range(0, len(parts), world.size):
        turn = parts[start : start + world.size]
        asked = [(list(seeds[part]), None if labels is None else list(labels[part])) for part in turn]
        if world.has_followers:
            world.tell(ImagesOrder(trunc), json.dumps(asked).encode())
        for (some, _), (pictures, classes) in zip(asked, generate_in_parallel(model, asked, trunc), strict=True):
            yield some, pictures, classes


SeedRequest = tuple[list[int], list[int] | None]  # seeds, and classes if they are chosen


def generate_in_parallel(
    model: Model, asked: Sequence[SeedRequest], trunc: float
) -> list[tuple[Tensor, Tensor | None]]:
    """The images uint8 [b,C,H,W] and classes int64 [b] or None of each part, one part made in each process; nothing
    but in the first one."""
    world = model.world
    mine = asked[min(world.rank, len(asked) - 1)]
    classes = [sample_classes(model, *one) for one in (asked if world.rank == 0 else [mine])]
    z = latents.truncate_latents(latents.latents_from_seeds(mine[0], model.info.spec.z_dim), trunc)
    pictures = generate(model.G, z, classes[0])
    if world.size == 1:
        return [(pictures, classes[0])]
    whole = torch.cat([pictures, pictures[-1:].expand(BATCH - len(pictures), -1, -1, -1)])
    found = world.gather(whole)
    return [(each[: len(some)], labels) for each, (some, _), labels in zip(found, asked, classes, strict=False)]


def sample_classes(model: Model, seeds: list[int], labels: list[int] | None) -> Tensor | None:
    if not model.info.class_counts:
        return None
    return latents.classes_from_seeds(seeds, model.info.class_counts) if labels is None else torch.tensor(labels)
