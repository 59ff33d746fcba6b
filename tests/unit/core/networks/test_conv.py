import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gancli.core.networks.conv import Discriminator, Generator, map_sides
from gancli.core.networks.embedding import EMBEDDING_DIM, ClassEmbedding

SIZES = range(8, 257, 4)


def test_maps_are_halved_at_least_twice_down_to_5_to_10_pixels() -> None:
    assert (
        map_sides(8) == [4, 2]
        and map_sides(28) == [14, 7]
        and map_sides(32) == [16, 8]
        and map_sides(48) == [24, 12, 6]
    )
    assert map_sides(100) == [50, 25, 12, 6] and map_sides(256) == [128, 64, 32, 16, 8]
    lowest = {size: map_sides(size)[-1] for size in SIZES if size >= 20}
    assert set(lowest.values()) == {5, 6, 7, 8, 9, 10} and len(lowest) == 60


@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_from_8_to_256_px_works_in_g_and_d(channels: int) -> None:
    visited = 0
    for size in SIZES:
        G = Generator(z_dim=3, width=4, resolution=size, channels=channels, n_classes=0)
        D = Discriminator(width=4, resolution=size, channels=channels, n_classes=0)
        images = G(torch.ones(2, 3))
        assert images.shape == (2, channels, size, size) and D(images).shape == (2,)
        visited += 1
    assert visited == 63


@pytest.mark.parametrize("size", [52, 100, 204, 252])
def test_every_pixel_of_odd_sides_is_used(size: int) -> None:
    assert any(side % 2 for side in map_sides(size)[:-1])
    G = Generator(z_dim=3, width=4, resolution=size, channels=1, n_classes=0)
    D = Discriminator(width=4, resolution=size, channels=1, n_classes=0)
    images = G(torch.ones(1, 3)).detach().requires_grad_()
    assert images.std() > 0
    (gradient,) = torch.autograd.grad(D(images).sum(), images)
    assert (gradient != 0).all()


@pytest.mark.parametrize("n_classes", [1, 10, 1000])
def test_classes_up_to_a_thousand(n_classes: int) -> None:
    G = Generator(z_dim=3, width=4, resolution=16, channels=3, n_classes=n_classes)
    D = Discriminator(width=4, resolution=16, channels=3, n_classes=n_classes)
    labels = torch.tensor([0, n_classes - 1])
    assert D(G(torch.ones(2, 3), labels), labels).shape == (2,)


# The networks of 8 to 40 px, written out. If they change, checkpoints and measured results become invalid.


class PlainGenerator(nn.Module):
    def __init__(self, z_dim: int, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.width, self.size = width, resolution // 4
        self.embed = ClassEmbedding(n_classes, EMBEDDING_DIM)
        self.project = nn.Linear(z_dim + EMBEDDING_DIM, width * self.size**2)
        self.low = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1)
        self.out = nn.Conv2d(width // 2, 4 * channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = F.leaky_relu(self.project(torch.cat([z, self.embed(labels)], dim=1)), 0.2)
        x = x.view(-1, self.size, self.size, self.width).permute(0, 3, 1, 2)
        x = F.leaky_relu(self.up(F.leaky_relu(self.low(x), 0.2)), 0.2)
        return F.pixel_shuffle(self.out(x), 2).tanh()


class PlainDiscriminator(nn.Module):
    def __init__(self, width: int, resolution: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width // 4, 5, stride=2, padding=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 4, width // 2, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(width * (resolution // 4) ** 2, 2 * width),
            nn.LeakyReLU(0.2),
        )
        self.out = nn.Linear(2 * width, 1)
        self.embed = ClassEmbedding(n_classes, 2 * width, std=(2 * width) ** -0.5)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features = self.layers(images.contiguous(memory_format=torch.channels_last))
        return self.out(features).squeeze(1) + (features * self.embed(labels)).sum(dim=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [8, 16, 28, 32, 40])
def test_networks_of_small_sizes_are_unchanged(resolution: int, channels: int) -> None:
    sizes = dict(width=16, resolution=resolution, channels=channels, n_classes=10)
    torch.manual_seed(0)
    expected = PlainGenerator(z_dim=5, **sizes), PlainDiscriminator(**sizes)
    torch.manual_seed(0)
    found = Generator(z_dim=5, **sizes), Discriminator(**sizes)
    for network, plain in zip(found, expected, strict=True):
        weights, right = network.state_dict(), plain.state_dict()
        assert list(weights) == list(right)
        assert all(torch.equal(weights[name], right[name]) for name in right)
    z, labels = torch.linspace(-2, 2, 20).sin().view(4, 5), torch.arange(4)
    images = expected[0](z, labels)
    assert torch.equal(found[0](z, labels), images)
    assert torch.equal(found[1](images, labels), expected[1](images, labels))
