"""The networks, their optimisers and one training step: the maths of a run, without files or clocks."""

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from gancli import config as configs
from gancli.config import ModelSpec, TrainConfig
from gancli.core import augment, ema, health, images, rng, schedules
from gancli.core.losses import LOSSES, r1_penalty
from gancli.core.models import build

STATISTICS = ("d_loss", "g_loss", "accuracy_real", "accuracy_fake", "d_grad", "g_grad", "r1", "r1_images", "images")

PIECE = 64


class TrainState:
    """Everything that changes during training, and `step`, which changes it.

    tallies: float64 [2, len(STATISTICS)], sums since the last tick and since the last epoch.
    strength: chance of each augmentation now; with ada it is part of what a checkpoint holds.
    background: [C], what augmentations leave where nothing is (see augment.background); black unless told.
    """

    def __init__(
        self, config: TrainConfig, spec: ModelSpec, device: torch.device, background: Tensor | None = None
    ) -> None:
        self.config, self.device = config, device
        self.augmentations = configs.parse_augment(config.augment)
        self.strength = config.augment_strength
        self.background = (-torch.ones(spec.channels) if background is None else background).to(device)
        self.loss = LOSSES[config.loss]
        self.interval = config.r1_interval if config.gamma else 1
        self.nimg = 0
        self.G, self.D = (net.to(device) for net in build(spec, config.seed, spectral_norm=config.spectral_norm))
        self.G_ema = ema.copy_of(self.G) if config.ema_kimg else self.G
        fused = device.type in ("cpu", "cuda")
        self.d_lr, d_betas = schedules.lazy_adam(config.lr, (config.beta1, config.beta2), self.interval)
        self.opt_G = torch.optim.Adam(
            self.G.parameters(), lr=config.lr, betas=(config.beta1, config.beta2), fused=fused
        )
        self.opt_D = torch.optim.Adam(self.D.parameters(), lr=self.d_lr, betas=d_betas, fused=fused)
        self.tallies = torch.zeros(2, len(STATISTICS), dtype=torch.float64, device=device)

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D": self.D} | ({"G_ema": self.G_ema} if self.G_ema is not self.G else {})

    @property
    def optimizers(self) -> dict[str, torch.optim.Adam]:
        return {"opt_G": self.opt_G, "opt_D": self.opt_D}

    def step(self, real: Tensor, labels: Tensor | None, t: float, epochs: float) -> None:
        """One D step, one G step and the average. real: uint8 [B,C,H,W]; t: part of the run done; epochs: passes done.

        Fakes take the labels of the real batch, so they follow the training frequencies.
        """
        config = self.config
        lr_factor = schedules.decay(t, config.lr_decay_from)
        self.opt_G.param_groups[0]["lr"] = config.lr * lr_factor
        self.opt_D.param_groups[0]["lr"] = self.d_lr * lr_factor
        chance = schedules.shift_chance(t, epochs, config.shift)

        x = images.to_float(real)
        with torch.set_grad_enabled(config.share_latents):
            fake = self.G(self.latents("z", len(real)), labels)
        d_loss, real_logits, fake_logits, penalty = self.d_step(x, fake.detach(), labels, chance)
        if not config.share_latents:
            fake = self.G(self.latents("z_G", len(real)), labels)
        g_loss = self.g_step(fake, labels, chance)

        self.nimg += len(real)
        if self.G_ema is not self.G:
            half_life = schedules.ema_half_life(self.nimg, config.ema_kimg * 1000, config.ema_ramp)
            ema.update(self.G_ema, self.G, schedules.ema_beta(len(real), half_life))
        with torch.no_grad():
            one, zero = torch.ones_like(d_loss), torch.zeros_like(d_loss)
            values = {
                "d_loss": d_loss,
                "g_loss": g_loss,
                "accuracy_real": (real_logits > 0).float().mean(),
                "accuracy_fake": (fake_logits < 0).float().mean(),
                "d_grad": grad_norm(self.D),
                "g_grad": grad_norm(self.G),
                "r1": zero if penalty is None else penalty,
                "r1_images": zero if penalty is None else one,
                "images": one,
            }
            self.tallies += torch.stack([values[name] for name in STATISTICS]) * len(real)

    def d_step(
        self, x: Tensor, fake: Tensor, labels: Tensor | None, chance: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Train D, one forward for real and fake. Returns loss, real and fake logits, and R1 where it was due."""
        both = None if labels is None else torch.cat([labels, labels])
        real_logits, fake_logits = self.D(self.augment(torch.cat([x, fake]), "D", chance), both).chunk(2)
        d_loss = self.loss.d_loss(real_logits, fake_logits).mean()
        objective, penalty = d_loss, None
        if self.config.gamma and (self.nimg // len(x)) % self.interval == 0:
            x.requires_grad_()
            penalty = r1_penalty(x, self.D(self.augment(x, "R1", chance), labels)).mean()
            objective = d_loss + self.config.gamma / 2 * self.interval * penalty
        self.opt_D.zero_grad()
        torch.autograd.backward(objective)
        self.opt_D.step()
        return d_loss, real_logits, fake_logits, penalty

    def g_step(self, fake: Tensor, labels: Tensor | None, chance: float) -> Tensor:
        """Train G against the D just updated, which is frozen meanwhile. Returns the loss."""
        self.D.requires_grad_(False)
        g_loss = self.loss.g_loss(self.D(self.augment(fake, "G", chance), labels)).mean()
        self.opt_G.zero_grad()
        torch.autograd.backward(g_loss)
        self.opt_G.step()
        self.D.requires_grad_(True)
        return g_loss

    @torch.no_grad()
    def signals(
        self, real: Tensor, labels: Tensor | None, heldout: Tensor, heldout_labels: Tensor | None
    ) -> dict[str, float | None]:
        """The health of this moment, by D without augmentation and G without averaging.

        real: training images uint8 [N,C,H,W], heldout: images never trained on, [M,C,H,W], M may be 0.
        """
        x = images.to_float(real)
        fake = in_pieces(self.G, self.latents("health", len(x)), labels)
        found = {"diversity": health.diversity(x, fake, labels)}
        if len(heldout):
            unseen = in_pieces(self.D, images.to_float(heldout), heldout_labels)
            seen, faked = in_pieces(self.D, x, labels), in_pieces(self.D, fake, labels)
            found["accuracy_heldout"] = health.accuracy(unseen)
            found["r_v"] = health.r_v(seen, unseen, faked)
        return found

    def latents(self, stream: str, n: int) -> Tensor:
        z = torch.randn(n, self.config.z_dim, generator=rng.generator(self.config.seed, stream, self.nimg))
        return z.to(self.device)

    def augment(self, pictures: Tensor, stream: str, chance: float) -> Tensor:
        """Each picture moved by -1, 0 or 1 pixels each way, with this chance; then what `augment` asks for."""
        if chance:
            draws = rng.generator(self.config.seed, f"shift_{stream}", self.nimg)
            chosen = torch.rand(len(pictures), 1, generator=draws) < chance
            offsets = torch.randint(-1, 2, (len(pictures), 2), generator=draws) * chosen
            pictures = augment.shift(pictures, offsets.to(self.device), 1)
        for name in self.augmentations if self.strength else ():
            draws = rng.generator(self.config.seed, f"{name}_{stream}", self.nimg)
            uniform = torch.rand(len(pictures), 1 + augment.DRAWS, generator=draws).to(self.device)
            pictures = augment.augment(name, pictures, self.strength, uniform, self.background)
        return pictures

    def adapt(self, r_v: float | None) -> None:
        """Move the strength of augmentation, where it is adaptive, as the r_v of a tick says."""
        if self.config.ada:
            nimg = max(1000 * self.config.tick_kimg, self.config.batch_size)
            self.strength = schedules.ada_strength(self.strength, r_v, nimg)

    def read_tally(self, row: int) -> dict[str, float]:
        """Means over images since the last call for this row (0 tick, 1 epoch), which starts anew."""
        sums = dict(zip(STATISTICS, self.tallies[row].tolist(), strict=True))
        self.tallies[row] = 0
        images, r1_images = sums.pop("images"), sums.pop("r1_images")
        r1 = sums.pop("r1")
        means = {name: total / images for name, total in sums.items()}
        means["accuracy"] = (means["accuracy_real"] + means["accuracy_fake"]) / 2
        return means | ({"r1": r1 / r1_images} if r1_images else {})

    def is_finite(self) -> bool:
        """Whether every weight, average and running sum is a number."""
        tensors = [self.tallies, *(p for net in self.modules.values() for p in net.state_dict().values())]
        return all(bool(tensor.isfinite().all()) for tensor in tensors)


def grad_norm(net: nn.Module) -> Tensor:
    """Euclidean norm over all gradients of the last step."""
    return get_total_norm([p.grad for p in net.parameters() if p.grad is not None])


def in_pieces(net: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """net(x, labels) [N,...], PIECE rows at a time."""
    rows = [slice(i, i + PIECE) for i in range(0, len(x), PIECE)]
    return torch.cat([net(x[some], None if labels is None else labels[some]) for some in rows])
