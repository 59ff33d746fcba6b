"""gancli train --init: a new run that starts from a trained model."""

import json
import shutil
from pathlib import Path

import pytest
from commands import FAST, gancli, read
from conftest import idx_bytes
from PIL import Image

SHORT = ["--kimg", "0.1", *FAST[4:]]  # without the widths, which come from the model


@pytest.fixture
def birds() -> Path:
    """60 colour pictures of 20x20 in two classes; tiny_idx has one of them too."""
    folder = Path("birds").resolve()
    for i in range(60):
        place = folder / ("1" if i % 2 else "owl") / f"{i:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (4 * i, 200 - 3 * i, 40)).save(place)
    return folder


def test_a_run_starts_from_another_run_and_its_results_can_be_used(run: Path, tiny_idx: Path) -> None:
    result = gancli("train", "--data", tiny_idx, "--init", run, "--seed", "5", *SHORT)
    assert result.exit_code == 0, result.output
    assert f"init     {run}, 0.104 kimg on tiny\n" in result.stderr
    new = Path("runs/00001-quick-tiny")
    record = json.loads((new / "config.json").read_text())
    assert record["init"]["source"] == str(run) and record["init"]["remade"] == [] and record["init"]["nimg"] == 104
    assert (record["train"]["g_width"], record["sources"]["g_width"], record["plan"]["total_nimg"]) == (8, "init", 100)
    assert (read(new / "frames" / "000000000.png") == read(run / "frames" / "000000104.png")).all()
    shutil.rmtree(run)
    result = gancli("train", "--resume", new, "--kimg", "0.2")
    assert result.exit_code == 0, result.output
    assert gancli("sample", new, "--n", "4").exit_code == 0
    result = gancli("evaluate", new, "--n", "50", "--json", "-q")
    assert result.exit_code == 0, result.output


def test_pictures_get_the_size_of_a_model_file_and_new_weights_are_listed(run: Path, birds: Path) -> None:
    result = gancli("train", "--data", birds, "--init", run / "model.safetensors", *SHORT)
    assert result.exit_code == 0, result.output
    said = next(line for line in result.stderr.splitlines() if line.startswith("init "))
    assert "0.104 kimg on tiny; D is new, because a model file holds only G; new embeddings for new classes" in said
    assert said.endswith("new classes: owl")
    assert "60 images of 8x8 grey" in result.stderr and "60 pictures: converted from colour to grey" in result.stderr
    record = json.loads(Path("runs/00001-quick-birds/config.json").read_text())
    assert record["init"]["remade"] == ["D"] and record["init"]["new_classes"] == ["owl"]
    assert record["data"]["class_names"] == ["1", "owl"]
    assert (record["train"]["resolution"], record["sources"]["resolution"]) == (8, "init")


def test_a_dry_run_shows_what_a_run_would_start_from_and_writes_nothing(run: Path, birds: Path) -> None:
    before = sorted(Path("runs").rglob("*"))
    asked = ["--data", birds, "--init", "00000-quick-tiny", "--unconditional", "--dry-run", *SHORT]
    result = gancli("train", *asked)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "init 00000-quick-tiny, 0.104 kimg on tiny; only one of the two has classes or clusters, so" in said
    assert json.loads(gancli("train", *asked, "--json").stdout)["init"]["remade"] == ["class weights"]
    assert sorted(Path("runs").rglob("*")) == before


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_runs_that_cannot_start_from_a_model_are_refused_in_one_line(run: Path, birds: Path, dry: list[str]) -> None:
    wide = Path("wide")
    wide.mkdir()
    (wide / "train-images-idx3-ubyte").write_bytes(idx_bytes((20, 12, 12), bytes(20 * 144)))
    (run / "cut.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:-9])
    Path("wide.toml").write_text("z_dim = 32\n")
    before = sorted(Path("runs").rglob("*"))
    model = run / "model.safetensors"
    cases: list[tuple[list[str | Path], int, str]] = [
        (["--init", run, "--g-width", "16"], 2, f"--g-width 16 differs from the 8 of {run}; remove --g-width"),
        (["--init", run, "--config", "wide.toml"], 2, f"--z-dim 32 differs from the 64 of {run}"),
        (["--init", run, "--d-width", "16"], 2, "or start from the run's model.safetensors with a new D"),
        (["--init", model, "--model", "mlp"], 2, f"--model mlp differs from the conv of {model}"),
        (["--init", run, "--resolution", "16"], 2, f"--resolution 16 differs from the 8 of {run}"),
        (
            ["--init", run, "--data", wide],
            2,
            "the images of wide are 12x12 grey, but those of runs/00000-quick-tiny are 8x8",
        ),
        (["--init", run / "cut.safetensors"], 1, "is damaged"),
        (["--init", run / "samples.png"], 1, "is damaged or not a safetensors file"),
        (["--init", "none"], 1, "no run folder or model file at none"),
        (["--init", birds], 1, "is not a run folder"),
    ]
    for arguments, code, message in cases:
        data = [] if "--data" in arguments else ["--data", birds]
        result = gancli("train", *data, *arguments, *SHORT, *dry)
        lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert result.exit_code == code and len(lines) == 1 and message in lines[0], result.output
        assert result.stdout == "" and sorted(Path("runs").rglob("*")) == before


def test_resume_cannot_be_combined_with_init(run: Path) -> None:
    result = gancli("train", "--resume", run, "--init", run)
    assert result.exit_code == 2 and "--resume and --init" in result.stderr


def test_an_idx_set_of_another_size_is_resized_on_request(run: Path) -> None:
    wide = Path("wide")
    wide.mkdir()
    (wide / "train-images-idx3-ubyte").write_bytes(idx_bytes((20, 12, 12), bytes(20 * 144)))
    asked = ["--data", wide, "--init", run, "--resolution", "8", "--dry-run", "--json", *SHORT]
    result = gancli("train", *asked)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["data"]["resolution"] == 8
