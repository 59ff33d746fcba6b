"""The one door for images: every picture and every score comes from here."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from gancli.core import images, latents
from gancli.core.modelfile import Model

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


def from_seeds(
    model: Model, seeds: Sequence[int], labels: Sequence[int] | None = None, *, trunc: float = 1
) -> Iterator[tuple[Sequence[int], Tensor, Tensor | None]]:
    """Images of seeds, as a stream of (seeds, uint8 [b,C,H,W], labels int64 [b] or None), b at most BATCH.

    Without labels, a conditional model takes the class that each seed stands for. trunc: latents.truncate.
    """
    for start in range(0, len(seeds), BATCH):
        some = seeds[start : start + BATCH]
        classes = None
        if model.info.class_counts:
            if labels is not None:
                classes = torch.tensor(labels[start : start + BATCH])
            else:
                classes = latents.classes_from_seeds(some, model.info.class_counts)
        z = latents.truncate(latents.from_seeds(some, model.info.spec.z_dim), trunc)
        yield some, generate(model.G, z, classes), classes
