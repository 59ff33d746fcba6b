"""The networks, their optimisers and one training step: the maths of a run, without files or clocks."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from gancli import config as configs
from gancli.config import ModelSpec, TrainConfig
from gancli.core import devices, images, rng
from gancli.core.distributed import ALONE, World
from gancli.core.networks import ema
from gancli.core.networks.build import build_discriminator, build_generator, build_networks, on_meta_device
from gancli.core.training import augment, schedules, warnings
from gancli.core.training.adam import Adam
from gancli.core.training.losses import LOSSES, gradient_penalty, interpolates, r1_penalty

CHUNK_ROWS = 64


class TrainStep:
    """The complete training state, and `step`, which updates it.

    tallies: float64 (float32 on MPS) [2, len(statistics)], sums over images since the last tick and since the last
    epoch.
    strength: current probability of each augmentation; ada changes it. Saved in checkpoints.
    lr_factor: the learning rates are multiplied by it; below 1 after a rollback. Saved in checkpoints.
    background: [C], the fill level of augmentations (see augment.border_level); black by default.
    world: the processes that share each batch. Random numbers are drawn for the whole batch, and each process uses
    those of its rows.
    precision: "float32" or "bf16", for the networks in a step. Everything else uses float32; with bf16 on a GPU,
    float32 products are rounded to TF32.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: ModelSpec,
        device: torch.device,
        background: Tensor | None = None,
        world: World = ALONE,
        precision: str = "float32",
    ) -> None:
        self.config, self.device, self.world, self.precision = config, device, world, precision
        self.augmentations = configs.parse_augment(config.augment)
        self.strength, self.lr_factor = config.augment_strength, 1.0
        self.background = (-torch.ones(spec.channels) if background is None else background).to(device)
        self.loss = LOSSES[config.loss]
        self.statistics = tally_names(config)
        self.interval = config.r1_interval if config.gamma else 1
        self.nimg = 0
        self.G, self.D = (
            net.to(device) for net in build_networks(spec, config.seed, spectral_norm=config.spectral_norm)
        )
        self.G_ema = ema.copy_frozen(self.G) if config.ema_kimg else self.G
        self.opt_G, self.opt_D = Adam(self.G.parameters()), Adam(self.D.parameters())
        dtype = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.tallies = torch.zeros(2, len(self.statistics), dtype=dtype, device=device)
        self.zero, self.one = torch.zeros((), device=device), torch.ones((), device=device)

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D": self.D} | ({"G_ema": self.G_ema} if self.G_ema is not self.G else {})

    @property
    def optimizers(self) -> dict[str, Adam]:
        return {"opt_G": self.opt_G, "opt_D": self.opt_D}

    def step(self, real: Tensor, labels: Tensor | None, t: float, epochs: float) -> None:
        """Train D, then G, then update the averaged generator.

        real: this process's rows of the batch, uint8 [B,C,H,W], the same B in every process. t: completed part of the
        run. epochs: completed passes over the data. Fakes use the labels of the real batch, so their classes have the
        frequencies of the training set.
        """
        config, n = self.config, len(real) * self.world.size
        rows = self.world.rows(n)
        self.set_optimizer_rates(t)
        gamma = config.gamma * schedules.cosine_schedule(1.0, config.gamma_end, t / config.burn_in)
        chance = schedules.shift_chance(t, epochs, config.shift)

        x = images.to_float(real)
        with torch.set_grad_enabled(config.share_latents):
            fake = self.output(self.G, self.latents("z", n)[rows], labels)
        d_loss, real_logits, fake_logits, penalties = self.d_step(x, fake.detach(), labels, chance, gamma)
        if not config.share_latents:
            fake = self.output(self.G, self.latents("z_G", n)[rows], labels)
        g_loss = self.g_step(fake, x, labels, chance)

        self.nimg += n
        if self.G_ema is not self.G:
            ema.update_ema(self.G_ema, self.G, schedules.ema_beta(n, self.half_life(t)))
        with torch.no_grad():
            values = {
                "d_loss": d_loss,
                "g_loss": g_loss,
                **self.accuracies(real_logits, fake_logits),
                "d_grad": get_total_norm(self.opt_D.gradients()),
                "g_grad": get_total_norm(self.opt_G.gradients()),
                "r1": self.zero,
                "r1_images": self.one if "r1" in penalties else self.zero,
                "r2": self.zero,
                "images": self.one,
                **penalties,
            }
            means = torch.stack([values[name] for name in self.statistics])
            self.world.average([means])
            self.tallies += means * n

    def accuracies(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        """Return the shares of images that D judges correctly; for a loss without a threshold, of pairs."""
        if not self.loss.has_threshold:
            return {"accuracy": (real_logits > fake_logits).float().mean()}
        return {
            "accuracy_real": (real_logits > 0).float().mean(),
            "accuracy_fake": (fake_logits < 0).float().mean(),
        }

    def set_optimizer_rates(self, t: float) -> None:
        """Set Adam's learning rates and betas for the point t of the run."""
        config = self.config
        factor = schedules.linear_decay(t, config.lr_decay_from) * schedules.cosine_schedule(
            1.0, config.lr_end, t / config.burn_in
        )
        factor *= self.lr_factor
        beta2 = schedules.cosine_schedule(config.beta2, config.beta2_end or config.beta2, t / config.burn_in)
        betas = config.beta1, beta2
        d_lr, d_betas = schedules.lazy_adam_settings(config.lr, betas, self.interval)
        self.opt_G.lr, self.opt_G.betas = config.lr * factor, betas
        self.opt_D.lr, self.opt_D.betas = d_lr * factor, d_betas

    def half_life(self, t: float) -> float:
        """Return the half-life of the averaged generator, in images, at the point t of the run."""
        config, longest = self.config, self.config.ema_kimg * 1000
        if not config.ema_ramp:
            longest = schedules.cosine_schedule(0.0, longest, t / config.burn_in)
        return schedules.ema_half_life(self.nimg, longest, config.ema_ramp or schedules.EMA_COSINE_RAMP)

    def d_step(
        self, x: Tensor, fake: Tensor, labels: Tensor | None, chance: float, gamma: float
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Train D with one forward pass for real and fake. Returns loss, real logits, fake logits and penalties.

        With R2, the penalties need the gradient at every image, so they use the logits of the loss. R1 without R2 has
        its own forward pass over the real half of the images. Penalties always use D in float32. If none is due in this
        step, the dict is empty.
        """
        config, penalties = self.config, dict[str, Tensor]()
        both = None if labels is None else torch.cat([labels, labels])
        is_due = config.gamma > 0 and self.nimg // (len(x) * self.world.size) % self.interval == 0
        pictures = torch.cat([x, fake]).requires_grad_(is_due and config.r2)
        seen = self.augment(pictures, "D", chance, parts=2)
        logits = self.D(seen, both) if is_due and config.r2 else self.output(self.D, seen, both)
        real_logits, fake_logits = logits.chunk(2)
        d_loss = self.loss.d_loss(real_logits, fake_logits).mean()
        objective = d_loss
        if is_due and config.r2:
            r1, r2 = r1_penalty(pictures, logits).chunk(2)
            penalties |= {"r1": r1.mean(), "r2": r2.mean()}
        elif is_due:
            x.requires_grad_()
            penalties["r1"] = r1_penalty(x, self.D(self.augment(x, "R1", chance), labels)).mean()
        if is_due:
            objective = d_loss + gamma / 2 * self.interval * (penalties["r1"] + penalties.get("r2", 0))
        if config.gradient_penalty:
            between = self.interpolates(x, fake)
            penalty = gradient_penalty(between, self.D(self.augment(between, "GP", chance), labels)).mean()
            penalties["gradient_penalty"] = penalty
            objective = objective + config.gradient_penalty * penalty
        self.opt_D.zero_grad()
        torch.autograd.backward(objective)
        self.world.average(self.opt_D.gradients())
        self.opt_D.step()
        return d_loss, real_logits, fake_logits, penalties

    def output(self, net: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
        """Compute net(x, labels) in the precision of the run, and convert the result to the type of x."""
        if self.precision == "float32":
            out: Tensor = net(x, labels)
            return out
        with torch.autocast(self.device.type, torch.bfloat16):
            out = net(x, labels)
        return out.to(x.dtype)

    def interpolates(self, x: Tensor, fake: Tensor) -> Tensor:
        n = len(x) * self.world.size
        shares = torch.rand(n, generator=rng.generator(self.config.seed, "interpolates", self.nimg))
        return interpolates(
            x, fake, devices.move_to_device(shares[self.world.rows(n)], self.device).to(x.dtype)
        ).requires_grad_()

    def g_step(self, fake: Tensor, x: Tensor, labels: Tensor | None, chance: float) -> Tensor:
        """Train G against the updated D, which stays frozen. Returns the loss.

        A paired loss compares each fake with the real image in the same row of the D step. Both have the same label,
        and the real image needs no gradient.
        """
        self.opt_D.freeze(True)
        try:
            real_logits = None
            if self.loss.is_paired:
                with torch.no_grad():
                    real_logits = self.output(self.D, self.augment(x, "G_real", chance), labels)
            logits = self.output(self.D, self.augment(fake, "G", chance), labels)
            g_loss = self.loss.g_loss(logits, real_logits).mean()
            self.opt_G.zero_grad()
            torch.autograd.backward(g_loss)
            self.world.average(self.opt_G.gradients())
            self.opt_G.step()
        finally:
            self.opt_D.freeze(False)
        return g_loss

    @torch.no_grad()
    def signals(
        self, real: Tensor, labels: Tensor | None, heldout: Tensor, heldout_labels: Tensor | None
    ) -> dict[str, float | None]:
        """Compute the health signals of D without augmentation and of G without averaging.

        real: training images uint8 [N,C,H,W]. heldout: images never trained on, [M,C,H,W]; M may be 0. If logits have
        no threshold, each image's logit is compared with the logit of a fake of the same class.
        """
        x = images.to_float(real)
        fake = forward_in_chunks(self.G, self.latents("health", len(x)), labels)
        signals = {"diversity": warnings.spread_ratio(x, fake, labels)}
        if len(heldout):
            unseen = forward_in_chunks(self.D, images.to_float(heldout), heldout_labels)
            seen, faked = forward_in_chunks(self.D, x, labels), forward_in_chunks(self.D, fake, labels)
            if not self.loss.has_threshold:
                references = forward_in_chunks(self.G, self.latents("health_heldout", len(heldout)), heldout_labels)
                unseen = unseen - forward_in_chunks(self.D, references, heldout_labels)
                seen, faked = seen - faked, torch.zeros_like(faked)
            signals["accuracy_heldout"] = warnings.share_judged_real(unseen)
            signals["r_v"] = warnings.r_v(seen, unseen, faked)
        return signals

    def latents(self, stream: str, n: int) -> Tensor:
        z = torch.randn(n, self.config.z_dim, generator=rng.generator(self.config.seed, stream, self.nimg))
        return devices.move_to_device(z, self.device)

    def augment(self, pictures: Tensor, stream: str, chance: float, parts: int = 1) -> Tensor:
        """Augment images for D in this step. They are this process's rows of `parts` batches, one after the other."""

        def draws(name: str) -> torch.Generator:
            return rng.generator(self.config.seed, f"{name}_{stream}", self.nimg)

        row_mask = self.world.row_mask(len(pictures), parts)
        return augment.augment_for_discriminator(
            pictures, chance, self.augmentations, self.strength, self.background, draws, row_mask
        )

    def adapt_augment_strength(self, r_v: float | None) -> None:
        """Adapt the augmentation strength to the r_v of a tick, if ada is on."""
        if self.config.ada:
            nimg = max(1000 * self.config.tick_kimg, self.config.batch_size)
            self.strength = schedules.ada_strength(self.strength, r_v, nimg)

    def has_tally(self, row: int) -> bool:
        """Whether there were steps since the last read_tally of this row."""
        return bool(self.tallies[row, self.statistics.index("images")] > 0)

    def read_tally(self, row: int) -> dict[str, float]:
        """Return the means over the images since the last call for this row (0: tick, 1: epoch), and reset the row."""
        sums = dict(zip(self.statistics, self.tallies[row].tolist(), strict=True))
        self.tallies[row] = 0
        images, r1_images = sums.pop("images"), sums.pop("r1_images")
        lazy = {name: sums.pop(name) for name in ("r1", "r2") if name in sums}
        means = {name: total / images for name, total in sums.items()}
        if self.loss.has_threshold:
            means["accuracy"] = (means["accuracy_real"] + means["accuracy_fake"]) / 2
        return means | {name: total / r1_images for name, total in lazy.items() if r1_images}

    def has_finite_tallies(self) -> bool:
        """Whether all losses and gradients since the last tick and epoch were finite."""
        return math.isfinite(self.tallies.sum().item())

    def is_finite(self) -> bool:
        """Whether every weight, average and running sum is finite."""
        tensors = [self.tallies, *(p for net in self.modules.values() for p in net.state_dict().values())]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


def min_training_bytes(config: TrainConfig, spec: ModelSpec) -> int:
    """Return the bytes of weights, gradients, Adam's two moments and the averaged generator; training needs more."""
    with on_meta_device():
        sizes = [
            sum(4 * p.numel() for p in net.parameters()) for net in (build_generator(spec), build_discriminator(spec))
        ]
    return 4 * sum(sizes) + (sizes[0] if config.ema_kimg else 0)


def tally_names(config: TrainConfig) -> tuple[str, ...]:
    """Return the names of the sums that a run keeps; r1_images counts the images with R1 and R2."""
    accuracies = ("accuracy_real", "accuracy_fake") if LOSSES[config.loss].has_threshold else ("accuracy",)
    r2 = ("r2",) if config.r2 else ()
    penalty = ("gradient_penalty",) if config.gradient_penalty else ()
    return ("d_loss", "g_loss", *accuracies, "d_grad", "g_grad", "r1", *r2, "r1_images", *penalty, "images")


def forward_in_chunks(net: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """Compute net(x, labels) -> [N,...], CHUNK_ROWS rows at a time."""
    rows = [slice(i, i + CHUNK_ROWS) for i in range(0, len(x), CHUNK_ROWS)]
    return torch.cat([net(x[some], None if labels is None else labels[some]) for some in rows])
