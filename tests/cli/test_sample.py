"""gancli sample from the command line."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from commands import gancli, read, trained

from gancli.core.networks import model_file, tensor_file
from gancli.core.sampling import write as samples


def test_sample_takes_the_newest_run_and_writes_a_grid_and_singles(run: Path) -> None:
    result = gancli("sample", "--n", "64")
    assert result.exit_code == 0, result.output
    folder = run / "samples" / "00000"
    assert result.stdout == f"64 images: {folder}\n"
    assert f"using the newest run, {run}" in result.stderr
    names = ["grid.png", "provenance.json", *(f"seed{seed:04d}.png" for seed in range(64))]
    assert sorted(p.name for p in folder.iterdir()) == names
    grid = read(folder / "grid.png")
    assert grid.shape == (64, 64)
    for seed in range(64):
        row, column = divmod(seed, 8)
        cell = grid[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
        assert np.array_equal(cell, read(folder / f"seed{seed:04d}.png"))
    assert gancli("sample").stdout == f"64 images: {run / 'samples' / '00001'}\n"


def test_a_model_file_gives_the_same_pixels_in_another_folder(run: Path, tmp_path: Path) -> None:
    gancli("sample", run, "--seeds", "0-9,40", "-o", "here")
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    shutil.copy(run / "model.safetensors", alone / "digits.safetensors")
    shutil.rmtree("runs")
    shutil.rmtree(tmp_path / "tiny")
    result = gancli("sample", alone / "digits.safetensors", "--seeds", "0-9,40")
    assert result.exit_code == 0, result.output
    made = sorted(Path("samples/00000").glob("*.png"))
    assert len(made) == 12
    for path in made:
        assert np.array_equal(read(path), read(Path("here") / path.name))


def test_outputs_by_name_agree_pixel_for_pixel(run: Path) -> None:
    for output in ("out", "out.png", "out.npz"):
        assert gancli("sample", run, "--seeds", "3,100-170", "-o", output).exit_code == 0
    with np.load("out.npz") as arrays:
        images, seeds, labels = arrays["images"], arrays["seeds"], arrays["labels"]
    assert images.shape == (72, 8, 8, 1) and images.dtype == np.uint8
    assert seeds.tolist() == [3, *range(100, 171)]
    assert labels.shape == (72,) and set(labels.tolist()) == {0, 1, 2}
    grid = read(Path("out.png"))
    assert np.array_equal(grid, read(Path("out/grid.png")))
    for position, seed in enumerate(seeds):
        assert np.array_equal(images[position, :, :, 0], read(Path(f"out/seed{seed:04d}.png")))


def test_class_chooses_by_name_or_number(run: Path) -> None:
    for chosen in ("1", "2"):
        gancli("sample", run, "--n", "5", "--class", chosen, "-o", f"{chosen}.npz")
        with np.load(f"{chosen}.npz") as arrays:
            assert arrays["labels"].tolist() == [int(chosen)] * 5
    result = gancli("sample", run, "--class", "9")
    assert result.exit_code == 2 and "unknown class '9' (known: 0, 1, 2)" in result.stderr


def test_every_seed_is_drawn_in_every_given_class_a_row_per_seed(run: Path) -> None:
    gancli("sample", run, "--seeds", "5,9", "--class", "2,0,2", "-o", "out")
    names = [f"seed{seed:04d}-class{label}.png" for seed in (5, 9) for label in (2, 0)]
    assert {p.name for p in Path("out").glob("seed*")} == set(names)
    grid = read(Path("out/grid.png"))
    assert grid.shape == (16, 16)
    cells = [grid[y : y + 8, x : x + 8] for y in (0, 8) for x in (0, 8)]
    for name, cell in zip(names, cells, strict=True):
        assert np.array_equal(cell, read(Path("out") / name))
    gancli("sample", run, "--seeds", "5,9", "--class", "2,0", "-o", "out.npz")
    with np.load("out.npz") as arrays:
        assert np.array_equal(arrays["images"][..., 0], np.stack(cells))
        assert arrays["seeds"].tolist() == [5, 5, 9, 9] and arrays["labels"].tolist() == [2, 0, 2, 0]
    gancli("sample", run, "--seeds", "9", "--class", "2", "-o", "alone")
    assert np.array_equal(read(Path("alone/seed0009.png")), cells[2])


def test_all_classes_make_a_sheet_of_eight_rows(run: Path) -> None:
    assert gancli("sample", run, "--class", "all", "-o", "sheet.png").stdout == "24 images: sheet.png\n"
    assert read(Path("sheet.png")).shape == (64, 24)


def test_lower_truncation_reduces_diversity_and_1_changes_nothing(run: Path) -> None:
    spread = []
    for trunc in ("0", "0.5", "1"):
        gancli("sample", run, "--n", "40", "--class", "1", "--trunc", trunc, "-o", f"{trunc}.npz")
        with np.load(f"{trunc}.npz") as arrays:
            spread.append(arrays["images"].std(axis=0).mean())
    assert spread[0] == 0 < spread[1] < spread[2]
    gancli("sample", run, "--n", "40", "--class", "1", "-o", "plain.npz")
    assert Path("plain.npz").read_bytes() == Path("1.npz").read_bytes()


def test_scale_makes_squares_of_pixels_in_every_kind_of_output(run: Path) -> None:
    for output in ("out", "out.png", "out.npz"):
        gancli("sample", run, "--seeds", "3,4,5", "-o", output)
        gancli("sample", run, "--seeds", "3,4,5", "--scale", "3", "-o", f"large-{output}")
    for name in ("out.png", "out/grid.png", "out/seed0004.png"):
        assert np.array_equal(read(Path(f"large-{name}")), np.kron(read(Path(name)), np.ones((3, 3), np.uint8)))
    with np.load("out.npz") as small, np.load("large-out.npz") as large:
        assert large["images"].shape == (3, 24, 24, 1)
        assert np.array_equal(large["images"][..., 0], np.kron(small["images"][..., 0], np.ones((1, 3, 3), np.uint8)))


def test_grid_or_singles_can_be_turned_off_by_one_flag(run: Path) -> None:
    gancli("sample", run, "--n", "5", "--grid", "none", "-o", "singles")
    assert {p.name for p in Path("singles").iterdir()} == {"provenance.json", *(f"seed000{i}.png" for i in range(5))}
    gancli("sample", run, "--n", "5", "--grid", "2x4", "--no-singles", "-o", "sheet")
    assert {p.name for p in Path("sheet").iterdir()} == {"provenance.json", "grid.png"}
    grid = read(Path("sheet/grid.png"))
    assert grid.shape == (16, 32)
    assert np.array_equal(grid[8:, :8], read(Path("singles/seed0004.png"))) and not grid[8:, 8:].any()


def test_formats_of_a_folder_agree_pixel_for_pixel(run: Path) -> None:
    for form in ("png", "webp", "npz"):
        gancli("sample", run, "--n", "3", "--format", form, "-o", form)
    with np.load("npz/images.npz") as arrays:
        images = arrays["images"][..., 0]
    for seed in range(3):
        assert np.array_equal(read(Path(f"png/seed000{seed}.png")), images[seed])
        assert np.array_equal(read(Path(f"webp/seed000{seed}.webp"))[..., 0], images[seed])
    assert np.array_equal(read(Path("webp/grid.webp"))[..., 0], read(Path("png/grid.png")))
    assert {p.name for p in Path("npz").iterdir()} == {"grid.png", "images.npz", "provenance.json"}
    assert np.array_equal(read(Path("npz/grid.png")), read(Path("png/grid.png")))
    gancli("sample", run, "--n", "3", "--format", "webp", "--no-singles", "-o", "sheet")
    assert {p.name for p in Path("sheet").iterdir()} == {"grid.webp", "provenance.json"}


def test_a_seed_named_twice_is_drawn_once(run: Path) -> None:
    assert gancli("sample", run, "--seeds", "7,3,7,1-3", "-o", "out.npz").stdout == "4 images: out.npz\n"
    with np.load("out.npz") as arrays:
        assert arrays["seeds"].tolist() == [7, 3, 1, 2]


def test_a_failure_while_writing_leaves_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(Path().iterdir())
    monkeypatch.setattr("gancli.files.provenance.write_sidecar", fail)
    result = gancli("sample", run, "--n", "3", "-o", "out")
    assert result.exit_code == 1 and "cannot write" in result.stderr
    assert sorted(Path().iterdir()) == before


def test_class_of_an_unconditional_model_is_refused(tiny_idx: Path) -> None:
    trained(tiny_idx, "--kimg", "0.1", "--unconditional")
    result = gancli("sample", "--class", "1")
    assert result.exit_code == 2 and "unconditional" in result.stderr
    assert not Path("runs/00000-quick-tiny/samples").exists() or not list(
        Path("runs/00000-quick-tiny/samples").iterdir()
    )
    gancli("sample", "-o", "plain.npz")
    with np.load("plain.npz") as arrays:
        assert set(arrays.files) == {"images", "seeds"}


def test_nothing_is_overwritten_without_force(run: Path) -> None:
    for output in ("out", "out.png", "out.webp", "out.npz"):
        gancli("sample", run, "--n", "4", "-o", output)
        result = gancli("sample", run, "--n", "9", "-o", output)
        assert result.exit_code == 1 and f"{output} exists" in result.stderr
        assert gancli("sample", run, "--n", "9", "-o", output, "--force").exit_code == 0
    assert len(list(Path("out").iterdir())) == 11
    Path("out.npz").unlink()
    result = gancli("sample", run, "-o", "out.npz")
    assert result.exit_code == 1 and "out.npz.json exists" in result.stderr and not Path("out.npz").exists()
    assert read(Path("out.png")).shape == (24, 24)


def test_two_commands_at_once_get_different_numbers(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second starts while the first one writes."""
    write, second = samples.write_samples, []

    def slow(*arguments: Any, **options: Any) -> Any:
        if not second:
            second.append(None)
            second[0] = gancli("sample", run, "--n", "2")
        write(*arguments, **options)

    monkeypatch.setattr("gancli.core.sampling.write.write_samples", slow)
    first = gancli("sample", run, "--n", "3")
    assert first.stdout == f"3 images: {run}/samples/00000\n"
    assert second[0] is not None and second[0].stdout == f"2 images: {run}/samples/00001\n"
    assert [len(os.listdir(run / "samples" / name)) for name in ("00000", "00001")] == [5, 4]


def test_a_folder_that_cannot_be_replaced_as_a_whole_is_kept(run: Path) -> None:
    gancli("sample", run, "--n", "2", "-o", "out")
    Path("out/seed0001.png").unlink()
    Path("out/seed0001.png").mkdir()
    before = {path.name: path.is_file() and path.read_bytes() for path in Path("out").iterdir()}
    result = gancli("sample", run, "--n", "4", "-o", "out", "--force")
    assert result.exit_code == 1 and "such as seed0001.png" in result.stderr
    assert {path.name: path.is_file() and path.read_bytes() for path in Path("out").iterdir()} == before


def test_the_grid_of_a_long_folder_shows_the_first_seeds(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gancli.config.MAX_GRID", 60)
    gancli("sample", run, "--n", "130", "-o", "long")
    assert len(list(Path("long").glob("seed*.png"))) == 130
    gancli("sample", run, "--n", "56", "-o", "start.png")
    assert np.array_equal(read(Path("long/grid.png")), read(Path("start.png")))
    monkeypatch.setattr("gancli.config.MAX_GRID", 2)
    result = gancli("sample", run, "--class", "all", "--n", "1", "-o", "wide")
    assert result.exit_code == 2 and "at most 2 images, got 3" in result.stderr
    assert gancli("sample", run, "--class", "all", "--n", "1", "--grid", "none", "-o", "wide").exit_code == 0


def test_json_names_the_model_and_the_output(run: Path) -> None:
    shown = json.loads(gancli("sample", run, "--n", "2", "--json").stdout)
    assert shown["n"] == 2 and len(shown["sha256"]) == 64
    assert Path(shown["output"]).is_dir() and Path(shown["model"]).is_file()


def test_bad_models_and_flags_get_one_line(run: Path) -> None:
    good = (run / "model.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(good[:-100])
    flipped = bytearray(good)
    flipped[-50] ^= 4
    Path("flipped.safetensors").write_bytes(flipped)
    safetensors.torch.save_file({"w": torch.zeros(3)}, "foreign.safetensors")
    Path("empty").mkdir()
    rows = [
        (["cut.safetensors"], 1, "cut.safetensors is damaged"),
        (["flipped.safetensors"], 1, "flipped.safetensors is damaged: its contents do not match"),
        (["foreign.safetensors"], 1, "not one made by gancli"),
        ([str(max(run.glob("checkpoint-*")))], 1, "is a gancli checkpoint, not a model"),
        (["absent.safetensors"], 1, "no run folder, model file or images at absent.safetensors"),
        (["empty"], 1, "empty is not a run folder"),
        (["--outdir", "empty"], 1, "no run found under empty/; train one first: gancli train"),
        ([str(run), "--seeds", "5-1"], 2, "5 is above 1"),
        ([str(run), "--seeds", "a"], 2, "cannot read the seeds 'a'"),
        ([str(run), "--seeds", "0-99999999999"], 2, "at most 10,000,000"),
        ([str(run), "--seeds", "0-9999999", "-o", "x.png"], 2, "names 10,000,000 seeds; give at most 1,024"),
        ([str(run), "--seeds", "0-1024", "--no-singles"], 2, "names 1,025 seeds; give at most 1,024"),
        ([str(run), "-o", "-"], 1, "the terminal"),
        ([str(run), "-o", "absent/x.npz"], 1, "there is no folder absent"),
        ([str(run), "--n", "3", "--seeds", "1"], 2, "--n and --seeds cannot be combined"),
        ([str(run), "-o", "x.jpg"], 2, "cannot write x.jpg"),
        ([str(run), "--n", "2000", "-o", "x.png"], 2, "a grid holds at most 1024 images"),
        ([str(run), "--device", "cuda"], 2, "--device cuda is not available"),
        ([str(run), "--device", "warp"], 2, "warp"),
        ([str(run), "-o", "cut.safetensors/x.npz"], 1, "cannot write"),
        ([str(run), "--grid", "8"], 2, "cannot read the grid '8'; write it as ROWSxCOLUMNS"),
        ([str(run), "--grid", "0x8"], 2, "cannot read the grid '0x8'"),
        ([str(run), "--grid", "7x9"], 2, "a grid of 7x9 does not hold 64 images"),
        ([str(run), "--grid", "99x99"], 2, "a grid holds at most 1024 images, got 9801"),
        ([str(run), "--no-singles", "--n", "2000"], 2, "a grid holds at most 1024 images"),
        ([str(run), "--no-singles", "--grid", "none"], 2, "--grid none leaves nothing to write"),
        ([str(run), "--grid", "none", "-o", "x.png"], 2, "--grid none leaves nothing to write"),
        ([str(run), "--grid", "8x8", "-o", "x.npz"], 2, "an npz holds single images and no grid"),
        ([str(run), "--no-singles", "-o", "x.npz"], 2, "an npz holds single images and no grid"),
        ([str(run), "--format", "webp", "-o", "x.png"], 2, "--format webp and -o x.png contradict each other"),
        ([str(run), "--format", "gif"], 2, "gif"),
        ([str(run), "--trunc", "2.1"], 2, "--trunc"),
        ([str(run), "--trunc", "nan"], 2, "--trunc"),
        ([str(run), "--scale", "0"], 2, "--scale"),
        ([str(run), "--scale", "64", "--n", "400", "--no-singles"], 2, "at most 256 images of 512 pixels a side"),
        ([str(run), "--class", "1,9"], 2, "unknown class '9'"),
        ([str(run), "--class", "all", "--n", "9999999"], 2, "29,999,997 images are too many"),
    ]
    before = sorted(p for p in Path().rglob("*") if "samples" not in p.parts)
    for arguments, code, message in rows:
        result = gancli("sample", *arguments)
        assert result.exit_code == code, (arguments, result.output)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and message in errors[0], (arguments, result.stderr)
    assert sorted(p for p in Path().rglob("*") if "samples" not in p.parts) == before
    assert len(rows) == 37


DAMAGE = {
    "no data": {"data": {}},
    "data of null": {"data": None},
    "a name that is a list": {"data": {"name": [], "digest": ""}},
    "images seen that are no count": {"nimg": 1.5},
    "a preset that is a number": {"preset": 3},
    "clusters that are a list": {"data": {"name": "x", "digest": "y", "clusters": []}},
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_model_with_incomplete_metadata_is_refused(run: Path, case: str) -> None:
    tensors, meta, _ = tensor_file.unpack_tensors("model", run / "model.safetensors")
    Path("odd.safetensors").write_bytes(tensor_file.pack_tensors("model", tensors, {**meta, **DAMAGE[case]}))
    result = gancli("sample", "odd.safetensors")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "odd.safetensors holds invalid metadata" in result.stderr or "holds an invalid" in result.stderr


def test_a_model_with_weights_that_are_not_numbers_is_refused(run: Path) -> None:
    tensors, meta, _ = tensor_file.unpack_tensors("model", run / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    Path("nan.safetensors").write_bytes(tensor_file.pack_tensors("model", tensors, meta))
    result = gancli("sample", "nan.safetensors")
    assert result.exit_code == 1 and "not finite" in result.stderr


def test_class_names_of_a_model_are_escaped_for_the_terminal(run: Path) -> None:
    model = model_file.load_model(run / "model.safetensors")
    hostile = dataclasses.replace(model.info, class_names=("\x1b[2Ja", "b\nerror: c", "../d"))
    model_file.save_model(Path("hostile.safetensors"), model.G, hostile)
    result = gancli("sample", "hostile.safetensors", "--class", "x")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr and result.stderr.count("\n") == 1
    assert "\\x1b[2Ja" in result.stderr
    assert gancli("sample", "hostile.safetensors", "--class", "2", "--n", "2", "-o", "fine").exit_code == 0


@pytest.mark.parametrize(("name", "value"), [("g_width", 1), ("resolution", 10), ("z_dim", 10**9), ("model", "evil")])
def test_a_model_of_impossible_size_is_refused_before_it_is_built(run: Path, name: str, value: object) -> None:
    tensors, meta, _ = tensor_file.unpack_tensors("model", run / "model.safetensors")
    meta["spec"][name] = value
    Path("bad.safetensors").write_bytes(tensor_file.pack_tensors("model", tensors, meta))
    result = gancli("sample", "bad.safetensors", "-o", "out")
    assert result.exit_code == 1 and "cannot build" in result.stderr
    assert not Path("out").exists()
