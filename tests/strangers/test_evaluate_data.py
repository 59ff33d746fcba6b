"""`gancli evaluate --data` on the images of a run that was given another size, fit, channels or background."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import FAST, gancli
from PIL import Image

from gancli.core.data.load import load_dataset
from gancli.core.data.transform import TransformOptions
from gancli.workflows.preparation import find_recorded_run

CHOICES = {
    "resolution": (["--resolution", "8"], TransformOptions(resolution=8)),
    "fit": (["--resolution", "8", "--fit", "pad"], TransformOptions(resolution=8, fit="pad")),
    "channels": (["--resolution", "8", "--channels", "1"], TransformOptions(resolution=8, channels=1)),
    "background": (["--resolution", "8", "--background", "#f00"], TransformOptions(8, background=(255, 0, 0))),
}


def write_photos(name: str, n: int, seed: int = 0, size: tuple[int, int] = (24, 16)) -> Path:
    """Colour PNGs of 16x24 pixels, transparent at the top."""
    folder, draws = Path(name), np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(n):
        pixels = draws.integers(0, 256, (*size, 4), np.uint8)
        pixels[..., 3] = 255
        pixels[:4, :, 3] = 0
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return folder


def evaluate(*words: str | Path) -> dict[str, object]:
    result = gancli("evaluate", *words, "--metrics", "diversity", "--n", "20", "--json")
    assert result.exit_code == 0, result.output
    conditions: dict[str, object] = json.loads(result.stdout)["conditions"]
    return conditions


@pytest.mark.parametrize("choice", CHOICES)
def test_the_data_of_evaluate_are_converted_as_in_training(choice: str) -> None:
    flags, options = CHOICES[choice]
    photos, others = write_photos("photos", 30), write_photos("others", 30, seed=1, size=(40, 60))
    result = gancli("train", "--data", photos, *flags, "--kimg", "0.1", *FAST)
    assert result.exit_code == 0, result.output
    run = Path("runs/00000-quick-photos")
    digest = json.loads((run / "config.json").read_text())["data"]["digest"]
    assert digest == load_dataset("photos", options).digest
    model = Path("alone.safetensors")
    model.write_bytes((run / "model.safetensors").read_bytes())
    assert gancli("sample", run, "--n", "12").exit_code == 0
    samples = run / "samples" / "00000"
    for source in (run, model, samples):
        assert evaluate(source, "--data", photos)["data_digest"] == digest, source
        # Other images get the size and channels of the run.
        assert evaluate(source, "--data", others)["data_digest"] == load_dataset("others", options).digest, source
    moved = Path("moved")
    samples.rename(moved)
    assert evaluate(moved, "--data", photos)["data_digest"] == digest  # their record names the model
    (run / "model.safetensors").rename(run / "away.safetensors")
    lost = gancli("evaluate", moved, "--data", photos, "--n", "12")
    assert f"moved was made by {run / 'model.safetensors'}, which is not found from this folder" in lost.stderr
    if choice == "resolution":  # without the run, images only give a size
        assert evaluate(moved, "--data", photos)["data_digest"] == digest


@pytest.mark.parametrize("model", ["missing.safetensors", "", "a\0b", ".", "photos/000.png", 3, None])
def test_a_record_of_samples_that_names_no_model_names_no_run(model: object) -> None:
    fakes = write_photos("photos", 1)
    record = {"command": "gancli sample", "model": model, "sha256": "ab"}
    (fakes / "provenance.json").write_text(json.dumps(record))
    assert find_recorded_run(fakes) is None


def test_models_of_different_conversions_are_not_scored_together() -> None:
    photos = write_photos("photos", 30)
    for fit in ("pad", "stretch"):
        result = gancli("train", "--data", photos, "--resolution", "8", "--fit", fit, "--kimg", "0.1", *FAST)
        assert result.exit_code == 0, result.output
    runs = [Path(f"runs/0000{number}-quick-photos") for number in (0, 1)]
    result = gancli("evaluate", *runs, "--data", photos)
    assert result.exit_code == 2 and "another --fit, --background or --bits; score them separately" in result.stderr
