"""Same seed and class, same pixels, from every command."""

import math
from pathlib import Path

import numpy as np
import torch
from commands import gancli, read

from gancli.core import images
from gancli.core.networks import model_file
from gancli.core.sampling import generate, latents
from gancli.workflows import evaluation

SEED = 7


def made(*arguments: str | Path) -> None:
    result = gancli(*arguments)
    assert result.exit_code == 0, result.output


def cell(grid: np.ndarray, place: int, columns: int) -> np.ndarray:
    row, column = divmod(place, columns)
    return grid[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]


def test_a_seed_of_a_class_is_the_same_pixels_from_every_command(run: Path) -> None:
    model = model_file.load_model(run / "model.safetensors")
    label = int(latents.classes_from_seeds([SEED], model.info.class_counts))
    other = (label + 1) % 3
    made("sample", run, "--seeds", SEED, "--class", label, "-o", "alone")
    expected = read(Path(f"alone/seed{SEED:04d}.png"))
    assert expected.shape == (8, 8) and expected.std() > 1
    found: dict[str, np.ndarray] = {}

    for n in (8, 9, 63, 64, 65, 130):  # as a seed's own class, in grids of several sizes and with several batches
        made("sample", run, "--n", n, "-o", f"{n}.png")
        found[f"grid of {n}"] = cell(read(Path(f"{n}.png")), SEED, math.ceil(math.sqrt(n)))
    for seeds in ("7", "3,7", "7,3", "100-163,7", "0-6,8-62,7"):
        output = f"{seeds}.npz"
        made("sample", run, "--seeds", seeds, "--class", label, "-o", output)
        with np.load(output) as arrays:
            place = arrays["seeds"].tolist().index(SEED)
            found[f"npz of {seeds}"] = arrays["images"][place, ..., 0]
    made("sample", run, "--n", "9", "-o", "folder")
    found["folder"] = read(Path(f"folder/seed{SEED:04d}.png"))

    walks = [
        ("3,7,12", [], 5),
        ("7,12", ["--class", label], 0),
        ("3,7", ["--class", label, "--path", "lerp"], 5),
        ("7,3", ["--path", "circle"], 0),
        ("7", ["--class", f"{other},{label}"], 5),
    ]
    for number, (seeds, options, key) in enumerate(walks):
        asked = ["interpolate", run, "--seeds", seeds, "--frames", "5", *options]
        made(*asked, "-o", f"walk{number}")
        made(*asked, "-o", f"walk{number}.png")
        found[f"frame of {seeds} {options}"] = read(Path(f"walk{number}/{key:05d}.png"))
        found[f"strip of {seeds} {options}"] = cell(read(Path(f"walk{number}.png")), key, 1000)
    made("interpolate", run, "--seeds", "1-6,7,8", "--grid", "2x2", "--frames", "3", "-o", "many")
    found["walk in a grid"] = cell(read(Path("many/00000.png")), 3, 2)

    fakes = evaluation.fakes_from_model(model, 100)
    found["evaluated, as a stream"] = images.to_hwc(torch.cat(list(fakes.stream())))[SEED]
    found["evaluated, picked"] = images.to_hwc(fakes.some([99, SEED, 0]))[1]

    z, labels = latents.latents_from_seeds([SEED], model.info.spec.z_dim), torch.tensor([label])
    weights = torch.eye(3)[labels]
    noise, numbers = torch.randn(150, z.shape[1], generator=torch.Generator().manual_seed(0)), torch.arange(150) % 3
    for place in range(0, 150, 7):
        batch = torch.cat([noise[:place], z, noise[place:]])
        asked_for = torch.cat([numbers[:place], labels, numbers[place:]])
        found[f"place {place}"] = images.to_hwc(generate.generate(model.G, batch, asked_for))[place]
        blends = torch.cat([torch.rand(place, 3), weights, torch.rand(150 - place, 3)])
        found[f"place {place} of blends"] = images.to_hwc(generate.generate(model.G, batch, blends))[place]

    assert [name for name, picture in found.items() if not np.array_equal(picture, expected)] == []
    assert len(found) == 6 + 5 + 1 + 2 * 5 + 1 + 2 + 2 * 22
