"""Feature extractors (networks shipped with gancli, fixed random filters, Inception) and the cache of features."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli._version import install_hint
from gancli.contracts import check_images_uint8
from gancli.datasets import DATASETS
from gancli.errors import ConfigError, DamagedFileError, DataError, RunError, did_you_mean
from gancli.files import run_folder

BATCH = 256
WEIGHTS = Path(__file__).parent / "weights"
WEIGHTS_SHA256 = {
    "digits": "f23338c3ac3a2307be5f2d57feb6e5bd30e4fc419cc40923d8cb9701ae0ec423",
    "fashion": "10afdf8ca7dc63e08737f6cd7163219f8c8d0cea46a1a8c4e04c029907a97596",
}

NetworkOutput = tuple[Tensor, Tensor | None]


@dataclass(frozen=True, eq=False)
class Features:
    """The features of N images and, from a classifier, their predicted classes.

    values: float64 [N,F]. labels: int64 [N]; None if the network is not a classifier.
    """

    values: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Tensor | slice) -> "Features":
        return Features(self.values[rows], None if self.labels is None else self.labels[rows])


@dataclass(frozen=True, eq=False)
class Extractor:
    """A feature extractor: `network` maps uint8 [B,C,H,W] to float32 [B,F] and labels [B] or None.

    shape: the (C, H, W) that it accepts; None accepts any. batch: images per call. relative: its scores can
    compare only models of one data set. about: how the network was trained, and its accuracy on held-out images.
    """

    name: str
    network: Callable[[Tensor], NetworkOutput]
    digest: str
    shape: tuple[int, int, int] | None = None
    class_names: tuple[str, ...] = ()
    relative: bool = False
    resize: str | None = None
    batch: int = BATCH
    about: Mapping[str, object] = field(default_factory=dict)


class SmallNet(nn.Module):
    """Map uint8 [N,1,28,28] to 64 features, standardised on the network's training images, and 10 logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 48, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(48, 48, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(48 * 7 * 7, 64),
            nn.LeakyReLU(0.2),
        )
        self.head = nn.Linear(64, n_classes)
        self.register_buffer("mean", torch.zeros(64))
        self.register_buffer("std", torch.ones(64))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(images.float() / 127.5 - 1)
        return (features - self.mean) / self.std, self.head(features)


class RandomNet:
    """Map images of any size to 112 features with fixed random filters.

    The features are means over three layers of random 3x3 filters. The mean of each channel of the first two layers
    describes texture; the means over the quarters of the last layer's first 16 channels describe layout. Random filters
    separate distributions surprisingly well, but they do not measure details that people notice. The filters come from
    numpy's RandomState, whose stream never changes.
    """

    def __init__(self, channels: int) -> None:
        stream = np.random.RandomState(0)
        self.filters = []
        for width in (16, 32, 64):
            weights = stream.standard_normal((width, channels, 3, 3)) * (2 / (channels * 9)) ** 0.5
            self.filters.append(torch.from_numpy(weights).float())
            channels = width

    @property
    def digest(self) -> str:
        return hashlib.sha256(b"".join(f.numpy().tobytes() for f in self.filters)).hexdigest()

    def __call__(self, images: Tensor) -> NetworkOutput:
        x = images.float() / 127.5 - 1
        found = []
        for filters in self.filters:
            x = F.leaky_relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), filters, stride=2), 0.2)
            found.append(x.mean(dim=(2, 3)))
        quarters = F.adaptive_avg_pool2d(x[:, :16], 2).flatten(1)
        return torch.cat([*found[:2], quarters], dim=1), None


def load_extractor(name: str, channels: int = 1) -> Extractor:
    """Return the extractor with this name; only "random" uses `channels`. Raises ConfigError, DataError."""
    if name not in EXTRACTORS:
        raise ConfigError(f"unknown features {name!r}{did_you_mean(name, EXTRACTORS)}")
    return EXTRACTORS[name](channels)


def choose_extractor(name: str, data_name: str, shape: tuple[int, int, int]) -> Extractor:
    """Choose the extractor for images (C, H, W) of a data set.

    "auto" picks the network shipped for this data set, or random filters if there is none. Raises ConfigError if the
    named extractor does not suit the data set or the shape.
    """
    made_for = DATASETS[data_name].features if data_name in DATASETS else "random"
    if name == "auto":
        extractor = load_extractor(made_for, shape[0])
        return extractor if extractor.shape in (None, shape) else load_extractor("random", shape[0])
    extractor = load_extractor(name, shape[0])
    if made_for != "random" and extractor.shape and name != made_for:
        raise ConfigError(f"features {name!r} are not for {data_name}; use --features {made_for} or auto")
    if extractor.shape not in (None, shape):
        raise ConfigError(
            f"features {name!r} take {format_image_shape(extractor.shape)} images, "
            f"not {format_image_shape(shape)}; use --features auto"
        )
    return extractor


def format_image_shape(shape: tuple[int, ...] | None) -> str:
    """Format (1, 28, 28) as "1x28x28"."""
    return "x".join(map(str, shape or ()))


@torch.inference_mode()
def extract_features(
    extractor: Extractor, images: Tensor | Iterable[Tensor], progress: Callable[[int], None] | None = None
) -> Features:
    """Return the features of images uint8 [N,C,H,W], N >= 1, or of a stream of such parts.

    progress receives the number of images done. The network always gets batches of one shape and memory layout; the
    last batch is padded. So an image's features do not depend on its source or on the other images. Raises DataError
    if images do not fit the extractor.
    """
    values, labels, done = [], [], 0
    for batch in rebatch_images(torch.split(images, BATCH) if isinstance(images, Tensor) else images, extractor.batch):
        n, shape = len(batch), tuple(batch.shape[1:])
        if extractor.shape not in (None, shape):
            raise DataError(
                f"the {extractor.name} features take {format_image_shape(extractor.shape)} images, "
                f"not {format_image_shape(shape)}"
            )
        padded = torch.empty((extractor.batch, *shape), dtype=torch.uint8)
        padded[:n], padded[n:] = batch, batch[-1]
        made, read = extractor.network(padded)
        values.append(made[:n].double())
        if read is not None:
            labels.append(read[:n])
        done += n
        if progress:
            progress(done)
    return Features(torch.cat(values).clone(), torch.cat(labels).clone() if labels else None)


def rebatch_images(parts: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Regroup parts [b,C,H,W] of any lengths into batches of `size` images; the last batch may be smaller."""
    waiting: list[Tensor] = []
    for part in parts:
        check_images_uint8(part)
        waiting.append(part)
        if sum(map(len, waiting)) >= size:
            joined = torch.cat(waiting)
            whole = len(joined) // size * size
            yield from torch.split(joined[:whole], size)
            waiting = [joined[whole:]]
    if sum(map(len, waiting)):
        yield torch.cat(waiting)


def extract_cached(
    extractor: Extractor,
    images: Tensor,
    data_digest: str,
    folder: Path,
    progress: Callable[[int], None] | None = None,
) -> Features:
    """Run `extract_features` with a cache in `folder`; the digests of the data and the network are the key.

    data_digest must identify exactly these images, including the split. A damaged or misnamed cache file is replaced.
    If the cache cannot be written, the features are returned without caching.
    """
    key = hashlib.sha256(f"{data_digest} {extractor.name} {extractor.digest} {len(images)}".encode()).hexdigest()
    path = folder / f"{extractor.name}-{key[:32]}.features"
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    checksum, content = content[:32], content[32:]
    if hashlib.sha256(key.encode() + content).digest() == checksum:
        tensors = safetensors.torch.load(content)
        return Features(tensors["values"].double(), tensors.get("labels"))
    features = extract_features(extractor, images, progress)
    tensors = {"values": features.values.float()}
    if features.labels is not None:
        tensors["labels"] = features.labels
    content = safetensors.torch.save(tensors)
    with contextlib.suppress(OSError, RunError):
        folder.mkdir(parents=True, exist_ok=True)
        run_folder.atomic_write(path, hashlib.sha256(key.encode() + content).digest() + content)
    return features


def load_bundled_network(name: str) -> Extractor:
    """Load a network that ships with gancli, made by scripts/train_features.py, and check its hash."""
    path = WEIGHTS / f"{name}.safetensors"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as err:
        raise DataError(f"cannot read {path}: {err.strerror}; reinstall gancli") from err
    if digest != WEIGHTS_SHA256[name]:
        raise DamagedFileError(f"{path} does not match this version of gancli; reinstall gancli")
    with safetensors.safe_open(path, framework="pt") as file:
        about = json.loads(json.loads(file.metadata()["gancli"])["meta"])
        weights = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    net = SmallNet(len(about["class_names"]))
    net.load_state_dict(weights)
    net.to(memory_format=torch.channels_last).eval().requires_grad_(False)

    def network(images: Tensor) -> NetworkOutput:
        features, logits = net(images)
        return features, logits.argmax(dim=1)

    return Extractor(name, network, digest, (1, 28, 28), tuple(about["class_names"]), about=about)


def stacked_digits_extractor(digits: Extractor) -> Extractor:
    """Return an extractor that reads red, green and blue as three digits and joins their features.

    The label is the number from 0 to 999 that the digits form.
    """

    def network(images: Tensor) -> NetworkOutput:
        features, labels = digits.network(images.flatten(0, 1).unsqueeze(1))
        assert labels is not None
        return features.view(len(images), -1), labels.view(-1, 3) @ torch.tensor([100, 10, 1])

    names = tuple(f"{number:03d}" for number in range(1000))
    return Extractor("stacked-digits", network, digits.digest, (3, 28, 28), names, about=digits.about)


def load_inception() -> Extractor:
    """Load the standard Inception-v3 for FID from torch-fidelity, which downloads the weights on first use."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as err:
        raise DataError(f"Inception features need torch-fidelity; {install_hint('inception')}") from err
    try:
        net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except (OSError, RuntimeError) as err:
        reason = (str(err).strip() or type(err).__name__).splitlines()[-1]
        raise DataError(f"cannot download the Inception weights ({reason}); use --features auto") from err
    sha = hashlib.sha256()
    for key, tensor in sorted(net.state_dict().items()):
        sha.update(key.encode() + tensor.numpy().tobytes())

    def network(images: Tensor) -> NetworkOutput:
        (features,) = net(images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1))
        return features, None

    return Extractor("inception", network, sha.hexdigest(), resize="bilinear to 299x299, as TensorFlow 1")


def random_extractor(channels: int) -> Extractor:
    network = RandomNet(channels)
    return Extractor("random", network, network.digest, relative=True)


EXTRACTORS: dict[str, Callable[[int], Extractor]] = {  # config.EXTRACTOR_NAMES lists them without torch
    "digits": lambda channels: load_bundled_network("digits"),
    "fashion": lambda channels: load_bundled_network("fashion"),
    "stacked-digits": lambda channels: stacked_digits_extractor(load_bundled_network("digits")),
    "random": random_extractor,
    "inception": lambda channels: load_inception(),
}
