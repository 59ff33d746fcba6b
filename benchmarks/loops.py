"""Training loops as people write or find them, to compare gancli with.

Each trains a given G and D, as `build_networks` makes them (D returns logits [N]), on nimg uint8 images [N,C,H,W] from
a DataLoader with per-image transforms.
"""

import logging
import math
import os
import warnings
from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

Z_DIM = 64
LR = 0.0002


class Pictures(Dataset[tuple[Tensor, int]]):
    """Decoded grey images, transformed one at a time in the usual way."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean=[0.5], std=[0.5])])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index, 0].numpy())), 0


def loader(images: Tensor, batch_size: int, workers: int) -> DataLoader[tuple[Tensor, int]]:
    return DataLoader(Pictures(images), batch_size=batch_size, shuffle=True, num_workers=workers)


def batches(images: Tensor, batch_size: int, nimg: int, workers: int) -> Iterator[Tensor]:
    """Yield batches, epoch after epoch, until nimg images are reached."""
    found, seen = loader(images, batch_size, workers), 0
    while True:
        for pictures, _ in found:
            yield pictures
            seen += len(pictures)
            if seen >= nimg:
                return


def tutorial(G: nn.Module, D: nn.Module, images: Tensor, batch_size: int, nimg: int, workers: int = 0) -> None:
    """The tutorial's loop: separate forwards for real and fake, no detach, plain Adam, `.item()` each step."""
    criterion = nn.BCELoss()
    d_optimizer, g_optimizer = Adam(D.parameters(), lr=LR), Adam(G.parameters(), lr=LR)
    for real in batches(images, batch_size, nimg, workers):
        n = len(real)
        ones, zeros = torch.ones(n), torch.zeros(n)
        real_score, fake_score = D(real).sigmoid(), D(G(torch.randn(n, Z_DIM))).sigmoid()
        d_loss = criterion(real_score, ones) + criterion(fake_score, zeros)
        d_optimizer.zero_grad()
        g_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        g_loss = criterion(D(G(torch.randn(n, Z_DIM))).sigmoid(), ones)
        d_optimizer.zero_grad()
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        _ = d_loss.item(), g_loss.item(), real_score.mean().item(), fake_score.mean().item()


def dcgan(G: nn.Module, D: nn.Module, images: Tensor, batch_size: int, nimg: int, workers: int = 0) -> None:
    """The loop of PyTorch's DCGAN example, without its images and checkpoints.

    Two passes of D with a tensor of labels, the G step on the same fakes, and a printed line each step.
    """
    criterion = nn.BCELoss()
    optimizer_d, optimizer_g = (Adam(net.parameters(), lr=LR, betas=(0.5, 0.999)) for net in (D, G))
    with open(os.devnull, "w") as out:
        for step, real in enumerate(batches(images, batch_size, nimg, workers)):
            D.zero_grad()
            labels = torch.ones(len(real))
            on_real = D(real).sigmoid()
            error_real = criterion(on_real, labels)
            error_real.backward()
            fake = G(torch.randn(len(real), Z_DIM))
            labels.fill_(0)
            on_fake = D(fake.detach()).sigmoid()
            error_fake = criterion(on_fake, labels)
            error_fake.backward()
            optimizer_d.step()
            G.zero_grad()
            labels.fill_(1)
            afterwards = D(fake).sigmoid()
            error_g = criterion(afterwards, labels)
            error_g.backward()
            optimizer_g.step()
            errors = (error_real + error_fake).item(), error_g.item()
            means = on_real.mean().item(), on_fake.mean().item(), afterwards.mean().item()
            print(step, *(f"{value:.4f}" for value in errors + means), file=out)


def lightning(G: nn.Module, D: nn.Module, images: Tensor, batch_size: int, nimg: int, workers: int = 0) -> None:
    """The tutorial's recipe as a Lightning module with manual optimisation; no progress bar, logger or checkpoints."""
    from lightning import LightningModule, Trainer
    from torch.nn.functional import binary_cross_entropy_with_logits as criterion

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # else it prints the hardware

    class Gan(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.generator, self.discriminator = G, D

        def configure_optimizers(self) -> list[Adam]:
            return [Adam(self.generator.parameters(), lr=LR), Adam(self.discriminator.parameters(), lr=LR)]

        def training_step(self, batch: tuple[Tensor, Tensor]) -> None:
            real, _ = batch
            optimizer_g, optimizer_d = self.optimizers()
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))

            self.toggle_optimizer(optimizer_d)
            fake = self.generator(torch.randn(len(real), Z_DIM)).detach()
            d_loss = criterion(self.discriminator(real), ones) + criterion(self.discriminator(fake), zeros)
            optimizer_d.zero_grad()
            self.manual_backward(d_loss)
            optimizer_d.step()
            self.untoggle_optimizer(optimizer_d)

            self.toggle_optimizer(optimizer_g)
            g_loss = criterion(self.discriminator(self.generator(torch.randn(len(real), Z_DIM))), ones)
            optimizer_g.zero_grad()
            self.manual_backward(g_loss)
            optimizer_g.step()
            self.untoggle_optimizer(optimizer_g)

    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=2 * math.ceil(nimg / batch_size),  # it counts the steps of both optimisers
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it recommends more workers than cores
        trainer.fit(Gan(), loader(images, batch_size, workers))


LOOPS = {"tutorial": tutorial, "dcgan": dcgan, "lightning": lightning}
