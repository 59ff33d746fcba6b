"""A model file, a folder of runs or mixed sizes where something else is expected; .jfif files; films at 60 fps."""

from pathlib import Path

import numpy as np
import pytest
from commands import gancli
from PIL import Image

from gancli.core.data.load import load_dataset
from gancli.errors import ConfigError
from gancli.video import timing


def write_run(path: str) -> Path:
    run = Path(path)
    run.mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "model.safetensors"):
        (run / name).write_text("{}")
    return run


def test_a_model_file_given_to_resume_is_answered_with_its_run() -> None:
    run = write_run("runs/00000-quick-photos")
    result = gancli("train", "--resume", run / "model.safetensors")
    assert result.exit_code == 1
    assert f"{run}/model.safetensors is a file, not a run folder; give its run folder {run}\n" in result.stderr
    Path("alone.safetensors").touch()
    result = gancli("train", "--resume", "alone.safetensors")
    assert result.exit_code == 1 and "or start a new run from this model with --init\n" in result.stderr


def test_a_folder_of_runs_given_to_resume_is_answered_with_the_newest_run() -> None:
    for name in ("00000-quick-photos", "00001-quick-photos"):
        write_run(f"runs/{name}")
    for command in (["train", "--resume"], ["animate"]):
        result = gancli(*command, "runs/")
        assert result.exit_code == 1
        assert "runs holds run folders; name one of them, such as runs/00001-quick-photos\n" in result.stderr


def test_images_of_several_sizes_are_to_be_resized_not_repaired() -> None:
    Path("mixed").mkdir()
    for number, size in enumerate([8] * 12 + [16]):
        Image.fromarray(np.full((size, size), number, np.uint8)).save(f"mixed/{number:02d}.png")
    Path("real").mkdir()
    for number in range(12):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(f"real/{number:02d}.png")
    result = gancli("evaluate", "mixed", "--data", "real")
    assert result.exit_code == 1
    assert "1 of 13 images in mixed cannot be used: 12.png (16x16 pixels instead of 8x8; resize it)\n" in result.stderr


@pytest.mark.parametrize("ending", ["jfif", "JFIF"])
def test_jfif_files_are_jpegs(ending: str) -> None:
    Path("photos").mkdir()
    for number in range(12):
        Image.fromarray(np.full((8, 8), number * 20, np.uint8)).save(f"photos/{number}.{ending}", "JPEG")
    images = load_dataset("photos")
    assert len(images.images) == 12 and images.report and images.report.kinds == {"JPEG": 12}


def test_only_an_mp4_may_have_60_frames_a_second() -> None:
    durations = timing.round_durations(61, timing.frame_ms(".mp4", 60), ".mp4")
    assert {*durations} == {16, 17} and sum(durations[:60]) == 1000
    for kind in (".gif", ".webp"):
        assert timing.frame_ms(kind, 50) == 20
        with pytest.raises(ConfigError, match=r"fps must be from 0\.1 to 50, got 60; choose a lower rate, or an \.mp4"):
            timing.frame_ms(kind, 60)
    with pytest.raises(ConfigError, match=r"fps must be from 0\.1 to 60, got 61$"):
        timing.frame_ms(".mp4", 61)
