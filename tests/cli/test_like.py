"""gancli sample --like: reproduce a picture from the record in it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import gancli, trained
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gancli.cli.sample import RECORDED_FLAGS
from gancli.files import image_io


def record(path: Path | str) -> dict[str, Any]:
    return dict(json.loads(image_io.read_png_text(Path(path))["gancli"]))


def with_text(picture: Path | str, path: str, text: str) -> None:
    """Copy the picture with another text in it."""
    info = PngInfo()
    info.add_text("gancli", text)
    with Image.open(picture) as image:
        image.save(path, pnginfo=info)


WAYS = {
    "as it comes": ["--n", "9"],
    "several classes": ["--seeds", "5,9", "--class", "2,0"],
    "all classes, truncated": ["--class", "all", "--trunc", "0.7"],
    "large, in a wide grid": ["--n", "5", "--scale", "3", "--grid", "2x4"],
}


@pytest.mark.parametrize("way", WAYS)
def test_every_picture_of_a_folder_is_reproduced_byte_for_byte(run: Path, way: str) -> None:
    gancli("sample", run, *WAYS[way], "-o", "out")
    pictures = sorted(Path("out").glob("*.png"))
    assert len(pictures) >= 5
    for path in pictures:
        result = gancli("sample", "--like", path, "-o", "again.png", "--force")
        assert result.exit_code == 0 and not result.stderr, result.output
        assert Path("again.png").read_bytes() == path.read_bytes(), path


def test_a_grid_has_the_same_bytes_however_it_is_written(run: Path) -> None:
    gancli("sample", run, "--n", "4", "-o", "a.png")
    gancli("sample", run, "--n", "4", "-o", "b", "-q", "--device", "cpu", "--no-preview", "--json")
    gancli("sample", run, "--n", "4", "--no-singles", "--format", "png", "--outdir", "elsewhere", "-o", "c")
    for other in ("b", "c"):
        assert Path("a.png").read_bytes() == Path(other, "grid.png").read_bytes()
    assert record("a.png")["command"] == f"gancli sample {run} --n 4"


def test_what_the_record_of_a_picture_contains(run: Path) -> None:
    gancli("sample", run, "--seeds", "4,6-8", "--class", "1,2", "--trunc", "0.5", "-o", "out")
    sha256 = json.loads(gancli("sample", run, "--n", "1", "-o", "x.png", "--json").stdout)["sha256"]
    said = record("out/grid.png")
    assert said["model"] == str(run / "model.safetensors") and said["sha256"] == sha256
    assert (said["seeds"], said["classes"], said["trunc"]) == ("4,6-8", ["1", "2"], 0.5)
    assert said["settings"] == {"grid": "4x2", "scale": 1}
    files = ["grid.png", *(f"seed000{seed}-class{label}.png" for seed in (4, 6, 7, 8) for label in (1, 2))]
    assert json.loads(Path("out/provenance.json").read_text()) == {**said, "files": files}
    single = record("out/seed0006-class2.png")
    assert single == {**said, "seeds": "6", "classes": ["2"], "settings": {"grid": "1x1", "scale": 1}}


def test_outputs_without_embedded_text_have_a_record_next_to_them(run: Path) -> None:
    for output in ("out.npz", "out.webp"):
        gancli("sample", run, "--n", "4", "-o", output)
        assert json.loads(Path(f"{output}.json").read_text())["seeds"] == "0-3"
    gancli("sample", run, "--n", "4", "-o", "out.png")
    assert not Path("out.png.json").exists()


def test_the_grid_of_a_long_folder_records_only_the_seeds_it_shows(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gancli.config.MAX_GRID", 8)
    gancli("sample", run, "--n", "9", "--class", "all", "-o", "long")
    assert record("long/grid.png")["seeds"] == "0-1"
    assert json.loads(Path("long/provenance.json").read_text())["seeds"] == "0-8"
    assert gancli("sample", "--like", "long/grid.png", "-o", "again.png").exit_code == 0
    assert Path("again.png").read_bytes() == Path("long/grid.png").read_bytes()


def test_without_output_it_goes_to_a_new_folder_of_the_run(run: Path) -> None:
    gancli("sample", run, "--n", "3")
    result = gancli("sample", "--like", run / "samples/00000/seed0002.png", "--json")
    made = run / "samples/00001/seed0002.png"
    shown = json.loads(result.stdout)
    assert (shown["output"], shown["identical"], shown["n"]) == (str(made), True, 1)
    assert made.read_bytes() == (run / "samples/00000/seed0002.png").read_bytes()
    assert sorted(p.name for p in made.parent.iterdir()) == ["provenance.json", "seed0002.png"]


def test_the_model_is_found_by_argument_record_or_next_to_the_picture(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gancli("sample", run, "--n", "3")
    picture = run / "samples/00000/grid.png"
    before = picture.read_bytes()
    shutil.copy(run / "model.safetensors", "copy.safetensors")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move("runs", elsewhere / "moved")
    monkeypatch.chdir(elsewhere)
    picture = Path("moved/00000-quick-tiny/samples/00000/grid.png")
    assert gancli("sample", "--like", picture, "-o", "beside.png").exit_code == 0
    shutil.copy(picture, "lone.png")
    assert gancli("sample", "--like", "lone.png", "../copy.safetensors", "-o", "named.png").exit_code == 0
    assert gancli("sample", "--like", "lone.png", "moved/00000-quick-tiny", "-o", "run.png").exit_code == 0
    assert [Path(name).read_bytes() for name in ("beside.png", "named.png", "run.png")] == [before] * 3
    result = gancli("sample", "--like", "lone.png")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "lone.png was made by the model with sha256" in result.stderr and f"then at {run}" in result.stderr


def test_another_model_is_refused(run: Path, tiny_idx: Path) -> None:
    gancli("sample", run, "--n", "3", "-o", "a.png")
    trained(tiny_idx, "--kimg", "0.1", "--seed", "1")
    before = sorted(Path().rglob("*"))
    result = gancli("sample", "--like", "a.png", "runs/00001-quick-tiny")
    assert result.exit_code == 1 and "00001-quick-tiny/model.safetensors" in result.stderr
    shutil.copy("runs/00001-quick-tiny/model.safetensors", run / "model.safetensors")  # as if trained on
    result = gancli("sample", "--like", "a.png")
    assert result.exit_code == 1 and f"{run}/model.safetensors is another" in result.stderr
    assert sorted(Path().rglob("*")) == before


def test_the_best_model_of_a_run_is_also_tried(run: Path, tiny_idx: Path) -> None:
    trained(tiny_idx, "--kimg", "0.1", "--seed", "1")
    shutil.copy("runs/00001-quick-tiny/model.safetensors", run / "model-best.safetensors")
    gancli("sample", run, "--n", "3", "--best", "-o", "a.png")
    shutil.move(run, "moved")
    assert gancli("sample", "--like", "a.png", "moved", "-o", "b.png").exit_code == 0
    assert Path("b.png").read_bytes() == Path("a.png").read_bytes()
    result = gancli("sample", "--like", "a.png", "moved/model.safetensors", "-o", "c.png")
    assert result.exit_code == 1 and "moved/model.safetensors is another" in result.stderr


def test_pictures_of_training_have_no_record_and_are_refused(run: Path) -> None:
    result = gancli("sample", "--like", run / "samples.png")
    assert result.exit_code == 1 and "samples.png" in result.stderr


def test_a_changed_picture_gets_a_warning(run: Path) -> None:
    gancli("sample", run, "--n", "3", "-o", "a.png")
    text = image_io.read_png_text(Path("a.png"))
    image_io.write_png(Path("changed.png"), 255 - image_io.read_png(Path("a.png")), text)
    result = gancli("sample", "--like", "changed.png", "-o", "b.png")
    assert result.exit_code == 0 and "warning: b.png differs from changed.png" in result.stderr
    assert Path("b.png").read_bytes() == Path("a.png").read_bytes()


DECIDED = {
    "--n": "3",
    "--seeds": "1",
    "--class": "1",
    "--trunc": "1",
    "--grid": "auto",
    "--no-singles": None,
    "--scale": "1",
    "--format": "png",
    "--best": None,
}


def test_flags_that_the_picture_sets_are_refused() -> None:
    refused = 0
    for flag, value in DECIDED.items():
        result = gancli("sample", "--like", "a.png", flag, *([] if value is None else [value]))
        shown = "--singles" if flag == "--no-singles" else flag
        assert result.exit_code == 2 and f"{shown} cannot be used with --like" in result.stderr
        refused += 1
    assert refused == len(DECIDED) == len(RECORDED_FLAGS)


BAD = {
    "no JSON": ("{", "has no valid record of gancli sample"),
    "no object": ("[]", "has no valid record of gancli sample"),
    "a field that is empty": ({"sha256": None}, "has no valid record of gancli sample"),
    "deep nesting": ("[" * 100_000, "has no valid record of gancli sample"),
    "text for a number": ({"trunc": "1"}, "has no valid record of gancli sample"),
    "text for classes": ({"classes": "12"}, "has no valid record of gancli sample"),
    "a newer version": ({"version": "99.0", "colour": 3}, "was made by gancli 99.0, and gancli"),
    "another command": (
        {"command": "gancli interpolate x"},
        "was not made by gancli sample, but by: gancli interpolate",
    ),
    "an absurd scale": (
        {"settings": {"scale": 10**9, "grid": "2x2"}},
        "records settings that gancli sample does not allow",
    ),
    "a scale that is a truth": (
        {"settings": {"scale": True, "grid": "2x2"}},
        "records settings that gancli sample does not allow",
    ),
    "no settings": ({"settings": {}}, "records settings that gancli sample does not allow"),
    "an absurd truncation": ({"trunc": 10**400}, "records settings that gancli sample does not allow"),
    "no number": ({"trunc": float("nan")}, "records settings that gancli sample does not allow"),
    "an absurd grid": ({"settings": {"scale": 1, "grid": "99999x99999"}}, "a grid holds at most 1024"),
    "a grid of words": ({"settings": {"scale": 1, "grid": ["2x2"]}}, "cannot read the grid"),
    "too many seeds": ({"seeds": "0-99999999999"}, "give at most 1,024"),
    "more seeds than places": ({"seeds": "0-99"}, "does not hold 100 images"),
    "an unknown class": ({"classes": ["\x1b[2J"]}, "unknown class '\\x1b[2J'"),
    "another model": ({"sha256": "\x1b[2J" * 99, "model": "/dev/zero"}, "was made by the model with sha256 \\x1b[2J"),
}


def test_pictures_that_cannot_be_reproduced_are_refused_in_one_line(run: Path) -> None:
    gancli("sample", run, "--n", "3", "-o", "a.png")
    said, refused = record("a.png"), 0
    Path("odd.png").touch()
    before = sorted(Path().iterdir())
    for case, (change, message) in BAD.items():
        with_text("a.png", "odd.png", change if isinstance(change, str) else json.dumps({**said, **change}))
        result = gancli("sample", "--like", "odd.png", "-o", "again.png")
        assert result.exit_code == 1, (case, result.output)
        assert result.stderr.count("\n") == 1 and "odd.png" in result.stderr and message in result.stderr, case
        assert "\x1b" not in result.stderr
        assert sorted(Path().iterdir()) == before
        refused += 1
    assert refused == len(BAD) >= 18


def test_the_original_is_never_replaced(run: Path) -> None:
    gancli("sample", run, "--n", "3", "-o", "out")
    with_text("out/grid.png", "out/grid.png", image_io.read_png_text(Path("out/grid.png"))["gancli"])  # other bytes
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    for output in ("out/grid.png", "out"):
        result = gancli("sample", "--like", "out/grid.png", "-o", output, "--force")
        assert result.exit_code == 1 and "out/grid.png itself" in result.stderr
        assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


def test_a_folder_replaced_by_force_contains_only_the_picture(run: Path) -> None:
    for output in ("a", "b"):
        gancli("sample", run, "--n", "3", "-o", output)
    assert gancli("sample", "--like", "a/grid.png", "-o", "b", "--force").exit_code == 0
    assert sorted(os.listdir("b")) == ["grid.png", "provenance.json"]


def test_a_model_is_found_whatever_path_was_recorded(run: Path) -> None:
    os.mkfifo("pipe.safetensors")
    gancli("sample", run, "--n", "3")
    picture, found = run / "samples/00000/grid.png", 0
    for place in ("/dev/zero", "/proc/kmsg", f"{'a' * 5000}.safetensors", "pipe.safetensors", "/nul\0.safetensors"):
        with_text(picture, str(picture), json.dumps({**record(picture), "model": place}))
        assert gancli("sample", "--like", picture, "-o", "again.png", "--force").exit_code == 0
        shutil.copy(picture, "lone.png")
        result = gancli("sample", "--like", "lone.png", "-o", "b.png")
        assert result.exit_code == 1 and "lone.png was made by the model with sha256" in result.stderr
        found += 1
    assert found == 5


def test_only_the_header_of_another_model_is_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gancli("sample", run, "--n", "3", "-o", "a.png")
    with_text("a.png", "a.png", json.dumps({**record("a.png"), "sha256": "0" * 64}))
    monkeypatch.setattr("gancli.core.networks.model_file.load_model", lambda *_: pytest.fail("read"))
    result = gancli("sample", "--like", "a.png")
    assert result.exit_code == 1 and "is another" in result.stderr


def test_files_that_gancli_did_not_make_are_refused_in_one_line(run: Path) -> None:
    gancli("sample", run, "--n", "3", "-o", "a.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("plain.png")
    Path("cut.png").write_bytes(Path("a.png").read_bytes()[:60])
    Path("empty.png").touch()
    os.mkfifo("pipe.png")
    rows = [
        (["plain.png"], 1, "plain.png has no record of how it was made"),
        (["cut.png"], 1, "cannot read the metadata of cut.png"),
        (["empty.png"], 1, "cannot read the metadata of empty.png"),
        (["absent.png"], 1, "cannot read the metadata of absent.png"),
        (["runs"], 1, "runs is not a file"),
        (["pipe.png"], 1, "pipe.png is not a file"),
        ([str(run / "model.safetensors")], 1, "cannot read the metadata of"),
        (["a.png", "-o", "x.webp"], 2, "cannot write x.webp: --like writes a .png"),
        (["a.png", "-o", "a.png"], 1, "a.png exists"),
        (["a.png", "absent"], 1, "no run folder, model file or images at absent"),
        (["a.png", "a.png"], 1, "a.png is one picture; give a model"),
    ]
    for arguments, code, message in rows:
        result = gancli("sample", "--like", *arguments)
        assert result.exit_code == code, (arguments, result.output)
        assert result.stderr.count("\n") == 1 and message in result.stderr, (arguments, result.stderr)
    assert len(rows) == 11
