"""What gancli wrote lies below the folder of pictures, or is itself the data."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import FAST, gancli
from PIL import Image

from gancli.core.data import own_outputs
from gancli.core.data.load import load_dataset, load_recorded_dataset, open_source
from gancli.core.data.picture_files import PictureFiles
from gancli.core.data.transform import TransformOptions
from gancli.files.cache import cache_folder


def write_photos(*folders: str, n: int = 15) -> None:
    for seed, folder in enumerate(folders):
        draws = np.random.default_rng(seed)
        Path(folder).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            Image.fromarray(draws.integers(0, 256, (8, 8), np.uint8)).save(Path(folder) / f"{i:02d}.png")


def names_in(path: str | Path) -> list[str]:
    source = open_source(Path(path).absolute())
    assert isinstance(source, PictureFiles)
    return [*source.files.names]


def ok(*words: str | Path) -> str:
    result = gancli(*words)
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.mark.parametrize("folders", [("photos",), ("photos/cat", "photos/dog")], ids=["flat", "classes"])
def test_runs_and_samples_below_the_data_are_skipped(folders: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(*folders)
    monkeypatch.chdir("photos")
    before, digest = names_in("."), load_dataset(".").digest
    ok("train", "--data", ".", "--kimg", "0.1", *FAST)
    ok("train", "--resume", "runs/00000-quick-photos", "--kimg", "0.2")
    shutil.copy("runs/00000-quick-photos/model.safetensors", "alone.safetensors")
    ok("sample", "runs/00000-quick-photos", "--n", "4")
    ok("sample", "alone.safetensors", "--n", "4")  # to samples/00000
    ok("sample", "alone.safetensors", "--n", "4", "-o", "mine")
    ok("interpolate", "alone.safetensors", "--frames", "2", "-o", "walk.gif")
    ok("interpolate", "alone.safetensors", "--frames", "2", "-o", "strip")
    ok("evaluate", "samples/00000", "--data", ".", "--metrics", "diversity", "-o", "scores")
    assert names_in(".") == before
    images = load_dataset(".")
    assert images.digest == digest
    assert images.class_names == (("cat", "dog") if len(folders) > 1 else ())
    (note,) = [note for note in images.notes if "gancli wrote" in note]
    for name in ("mine", "runs/00000-quick-photos", "samples/00000", "walk.gif"):
        assert name in note
    stderr = ok("train", "--data", ".", "--outdir", "runs", "--kimg", "0.1", "-q", *FAST)
    assert "skipped files that gancli wrote: " in stderr


def test_a_sample_folder_that_is_named_itself_is_read_without_its_grid() -> None:
    write_photos("photos")
    ok("train", "--data", "photos", "--kimg", "0.1", *FAST)
    run = Path("runs/00000-quick-photos")
    for _ in range(2):
        ok("sample", run, "--n", "12")
    with zipfile.ZipFile("samples.zip", "w") as opened:
        for path in (run / "samples/00000").iterdir():
            opened.write(path, path.name)
    seeds = [f"seed{seed:04d}.png" for seed in range(12)]
    assert names_in(run / "samples/00000") == names_in("samples.zip") == seeds
    assert names_in(run / "samples") == [f"{folder}/{seed}" for folder in ("00000", "00001") for seed in seeds]
    assert len(load_dataset(str(run / "samples/00000")).images) == 12
    # The user's own picture in a sample folder stays, also if it is called grid.png.
    Path("photos/own").mkdir()
    shutil.copytree(run / "samples/00000", "photos/drawn")
    shutil.copy("photos/00.png", "photos/drawn/extra.png")
    shutil.copy("photos/00.png", "photos/own/grid.png")
    found = set(names_in("photos"))
    assert {"drawn/extra.png", "own/grid.png"} <= found and not {"drawn/grid.png", "drawn/seed0000.png"} & found


def test_the_record_of_another_program_hides_nothing() -> None:
    write_photos("photos")
    foreign = {"command": "other sample", "files": ["00.png"]}
    Path("photos/provenance.json").write_text(json.dumps(foreign))
    Path("photos/below").mkdir()
    shutil.copy("photos/provenance.json", "photos/below")
    shutil.copy("photos/00.png", "photos/below")
    assert len(names_in("photos")) == 16


def test_single_pngs_of_gancli_below_the_data_are_skipped_and_the_run_continues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_photos("photos/cat", "photos/dog")
    before = load_dataset("photos")
    ok("train", "--data", "photos", "--kimg", "0.1", *FAST)
    run = "runs/00000-quick-photos"
    ok("sample", run, "--n", "4", "-o", "photos/mine.png")
    ok("sample", run, "--seeds", "3", "-o", "photos/cat/three.PNG")
    ok("sample", run, "--n", "4", "-o", "photos/more.npz")
    ok("interpolate", run, "--frames", "2", "-o", "photos/dog/strip.png")
    for _ in range(2):
        monkeypatch.setattr(own_outputs, "MANY_PNGS", 2)  # from now on the answer is kept in the cache
        images = load_dataset("photos")
        assert images.digest == before.digest and images.class_names == ("cat", "dog")
        (note,) = [note for note in images.notes if "skipped" in note]
        for name in ("mine.png", "cat/three.PNG", "dog/strip.png", "more.npz"):
            assert name in note
    assert len([*(cache_folder() / "own-pngs").iterdir()]) == 1
    with monkeypatch.context() as patched:
        patched.setattr(own_outputs, "read_start", lambda path: pytest.fail(f"{path} was read again"))
        assert load_dataset("photos").digest == before.digest
    ok("train", "--resume", run, "--kimg", "0.2")
    next((cache_folder() / "own-pngs").iterdir()).write_bytes(b"{")
    assert load_dataset("photos").digest == before.digest


def test_single_pngs_of_gancli_are_read_if_there_are_no_others_or_a_record_lists_them() -> None:
    write_photos("photos")
    ok("train", "--data", "photos", "--kimg", "0.1", *FAST)
    ok("sample", "runs/00000-quick-photos", "--n", "12", "-o", "drawn")
    Path("copied").mkdir()
    for path in Path("drawn").glob("seed*.png"):
        shutil.copy(path, "copied")
    assert len(load_dataset("copied").images) == 12
    shutil.copy("photos/00.png", "drawn/extra.png")
    assert len(load_dataset("drawn").images) == 13


def test_a_run_whose_data_holds_its_own_pngs_as_pictures_resumes() -> None:
    """Older versions read them."""
    write_photos("photos")
    ok("train", "--data", "photos", "--kimg", "0.1", *FAST)
    ok("sample", "runs/00000-quick-photos", "--n", "1", "--grid", "1x1", "-o", "photos/mine.png")
    older = load_dataset("photos", TransformOptions(as_in_0_1=True))
    assert len(older.images) == 16
    assert load_recorded_dataset("photos", TransformOptions(), older.digest).digest == older.digest
