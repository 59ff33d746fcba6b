"""gancli interpolate from the command line."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from commands import gancli, read
from PIL import Image, ImageSequence

from gancli._version import install_hint
from gancli.files import provenance
from gancli.video import gif


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "m.safetensors")


def save_model(path: Path, *, channels: int = 1, n_classes: int = 3, z_dim: int = 16) -> Path:
    import torch

    from gancli.config import ModelSpec
    from gancli.core.networks import model_file
    from gancli.core.networks.build import build_generator

    spec = ModelSpec(
        model="conv", z_dim=z_dim, g_width=8, d_width=8, resolution=8, channels=channels, n_classes=n_classes
    )
    torch.manual_seed(0)
    names, counts = ("round", "bar", "dot")[:n_classes], (5, 3, 2)[:n_classes]
    info = model_file.ModelInfo(spec, "quick", 0, {"name": "tiny", "digest": "0"}, names, counts)
    G = build_generator(spec).requires_grad_(False)
    G.get_submodule("out").get_parameter("weight").mul_(40)  # else all images are nearly the same grey
    model_file.save_model(path, G, info)
    return path


def film(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """Frames, and their durations in ms."""
    with Image.open(path) as image:
        pages = [(np.asarray(page.convert("RGB")), page.info["duration"]) for page in ImageSequence.Iterator(image)]
    return [frame for frame, _ in pages], [duration for _, duration in pages]


def made(*arguments: str | Path) -> str:
    result = gancli("interpolate", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_all_arguments_are_optional(run: Path) -> None:
    result = gancli("interpolate")
    path = run / "walks" / "00000" / "walk.gif"
    assert result.stdout == f"300 frames, 15 s: {path}\n"
    assert f"using the newest run, {run}" in result.stderr
    frames, durations = film(path)
    assert len(frames) == 300 and set(durations) == {50}
    assert frames[0].shape == (280, 280, 3)
    record = json.loads((path.parent / "provenance.json").read_text())
    assert record["command"] == "gancli interpolate" and record["seeds"] == "0-4"
    assert sorted(p.name for p in path.parent.iterdir()) == ["provenance.json", "walk.gif"]
    assert made("--n", "2", "--frames", "3") == f"6 frames, 0.3 s: {run / 'walks' / '00001' / 'walk.gif'}\n"


def test_every_format_shows_the_same_walk(model: Path) -> None:
    options = [model, "--seeds", "3,7", "--frames", "5", "--loop"]
    for output in ("w", "w.png", "w.webp", "w.gif"):
        made(*options, "--scale", "2", "-o", output)
    folder = [read(path) for path in sorted(Path("w").glob("*.png"))]
    assert len(folder) == 10 and folder[0].shape == (16, 16)
    assert np.array_equal(read(Path("w.png")), np.hstack(folder))
    frames, durations = film(Path("w.webp"))
    assert sum(durations) == 500
    assert all(np.array_equal(frame[..., 0], picture) for frame, picture in zip(frames, folder, strict=True))
    frames, durations = film(Path("w.gif"))
    assert durations == [50] * 10
    for frame, picture in zip(frames, folder, strict=True):  # in 20 greys
        assert np.abs(frame[..., 0].astype(int) - picture).max() <= 7


def test_mp4_is_written_where_its_extra_is_installed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        made(model, "--n", "2", "--frames", "3", "-o", "w.mp4")
        assert Path("w.mp4").read_bytes()[4:8] == b"ftyp" and Path("w.mp4.json").is_file()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = gancli("interpolate", model, "-o", "x.mp4")
    assert result.exit_code == 2 and install_hint("video") in result.stderr
    assert not Path("x.mp4").exists()


def test_the_record_is_in_every_png_and_next_to_other_formats(model: Path) -> None:
    options = [model, "--seeds", "3,7", "--frames", "2", "--class", "dot,0", "--trunc", "0.5"]
    for output in ("w", "w.png", "w.webp", "w.gif"):
        made(*options, "-o", output)
    texts = [Path(name).read_text() for name in ("w.webp.json", "w.gif.json")]
    pngs = [Path("w.png"), *sorted(Path("w").glob("*.png"))]
    folder = json.loads(Path("w/provenance.json").read_text())
    assert folder.pop("files") == [path.name for path in pngs[1:]]
    texts.append(json.dumps(folder))
    for path in pngs:
        with Image.open(path) as image:
            texts.append(image.text[provenance.TEXT_KEYWORD])
    assert len(texts) == 3 + 1 + 4
    digest = json.loads(gancli("interpolate", model, "--n", "2", "-o", "y.gif", "--json").stdout)["sha256"]
    for text in texts:
        record = provenance.parse_record(text, "it")
        assert (record.seeds, record.classes, record.trunc) == ("3,7", ("dot", "round"), 0.5)
        assert record.sha256 == digest and record.settings["path"] == "slerp" and record.settings["frames"] == 2
        assert record.command == f"gancli interpolate {model} --seeds 3,7 --class dot,0 --frames 2 --trunc 0.5"
    assert not Path("w.png.json").exists()


def test_film_loops_and_strip_does_not_unless_asked(model: Path) -> None:
    rows = [
        ("w.gif", ["--frames", "4"], 8),
        ("x.gif", ["--frames", "4", "--no-loop"], 5),
        ("w.png", ["--frames", "4"], 5),
        ("x.png", ["--frames", "4", "--loop"], 8),
        ("y.png", ["--frames", "4", "--path", "circle"], 8),
        ("z.png", ["--duration", "1s", "--path", "circle"], 20),
    ]
    for output, options, n in rows:
        assert made(model, "--seeds", "3,7", *options, "-o", output).startswith(f"{n} frames")
    assert read(Path("w.png")).shape == (8, 5 * 8)
    made(model, "--n", "3", "-o", "three.png")
    assert read(Path("three.png")).shape == (8, 17 * 8)


@pytest.mark.parametrize(
    ("options", "n", "step_ms"),
    [
        (["--duration", "2s"], 40, 50),
        (["--duration", "2.04s"], 40, 50),  # with 41 frames, one segment would be a frame longer than the other
        (["--duration", "1s", "--fps", "50"], 50, 20),
        (["--frames", "3", "--fps", "30"], 6, 30),
        (["--frames", "3", "--fps", "45"], 6, 20),
        (["--duration", "0.01s"], 2, 50),
    ],
)
def test_a_gif_has_the_requested_time_in_whole_hundredths(
    model: Path, options: list[str], n: int, step_ms: int
) -> None:
    result = gancli("interpolate", model, "--n", "2", *options, "--scale", "1", "-o", "w.gif")
    frames, durations = film(Path("w.gif"))
    assert (len(frames), set(durations)) == (n, {step_ms})
    fps = int(options[options.index("--fps") + 1]) if "--fps" in options else 20
    notes = [line for line in result.stderr.splitlines() if "hundredths of a second" in line]
    assert len(notes) == (1000 / step_ms != fps)


def test_a_webp_has_the_exact_rate(model: Path) -> None:
    result = gancli("interpolate", model, "--n", "2", "--frames", "3", "--fps", "24", "-o", "w.webp")
    assert film(Path("w.webp"))[1] == [42, 41, 42] * 2
    assert "instead" not in result.stderr


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (["--duration", "2s", "--n", "3"], 39),  # 40 cannot be split equally between three segments
        (["--duration", "2s", "--n", "3", "--no-loop"], 41),
        (["--duration", "1s", "--n", "2", "--no-loop"], 20),
        (["--duration", "3s", "--class", "0,1,2"], 60),
        (["--duration", "2s", "--n", "2", "--path", "circle"], 40),
    ],
)
def test_a_film_has_the_requested_length_with_or_without_loop(model: Path, options: list[str], frames: int) -> None:
    shown = json.loads(made(model, *options, "-o", "w.gif", "--scale", "1", "--json"))
    assert (shown["frames"], shown["seconds"]) == (frames, frames / 20)
    assert len(film(Path("w.gif"))[0]) == frames
    strip = json.loads(made(model, *options, "-o", "w.png", "--json"))
    assert abs(strip["frames"] - frames) <= 2 and strip["seconds"] is None


def test_the_largest_number_of_frames_is_accepted(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only existing frames count: without the loop, two pictures have one segment."""
    monkeypatch.setattr("gancli.config.MAX_FRAMES", 20)
    assert made(model, "--n", "2", "--frames", "19", "--no-loop", "-o", "w").startswith("20 frames")
    refused = gancli("interpolate", model, "--n", "2", "--frames", "20", "--no-loop", "-o", "v")
    assert refused.exit_code == 2 and "21 frames are too many" in refused.stderr


def test_a_grid_shows_many_walks_and_splits_the_seeds(model: Path) -> None:
    made(model, "--grid", "2x3", "--n", "2", "--frames", "2", "-o", "grid")
    made(model, "--grid", "2x3", "--seeds", "0-11", "--frames", "2", "-o", "same")
    grid = [read(path) for path in sorted(Path("grid").glob("*.png"))]
    assert len(grid) == 4 and grid[0].shape == (16, 24)
    compared = 0
    for cell in range(6):
        made(model, "--seeds", f"{2 * cell},{2 * cell + 1}", "--frames", "2", "-o", f"cell{cell}")
        row, column = divmod(cell, 3)
        for i, path in enumerate(sorted(Path(f"cell{cell}").glob("*.png"))):
            assert np.array_equal(grid[i][row * 8 : row * 8 + 8, column * 8 : column * 8 + 8], read(path))
            assert np.array_equal(grid[i], read(Path("same") / path.name))
            compared += 1
    assert compared == 24
    made(model, "--grid", "2x3", "--class", "1,2", "--frames", "2", "-o", "classes")  # one seed for each walk
    assert json.loads(Path("classes/provenance.json").read_text())["seeds"] == "0-5"


def test_small_films_are_enlarged_and_stills_are_not(model: Path) -> None:
    rows = [("w.gif", [], 35 * 8), ("g.gif", ["--grid", "4x4"], 18 * 4 * 8), ("w.png", [], 8), ("w", [], 8)]
    for output, options, height in rows:
        made(model, "--n", "2", "--frames", "1", *options, "-o", output)
        path = Path(output) / "00000.png" if output == "w" else Path(output)
        assert read(path).shape[0] == height, output


def test_a_colour_gif_has_one_palette_for_the_whole_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colour = save_model(tmp_path / "colour.safetensors", channels=3)
    asked = []
    palette_of = gif.build_palette
    monkeypatch.setattr(gif, "build_palette", lambda frames: asked.append([*frames]) or palette_of(asked[-1]))
    options = [colour, "--n", "6", "--frames", "6", "--scale", "1"]
    made(*options, "-o", "w.gif")
    made(*options, "-o", "w")
    frames, _ = film(Path("w.gif"))
    errors = [
        np.abs(frame.astype(int) - read(path)).mean()
        for frame, path in zip(frames, sorted(Path("w").glob("*.png")), strict=True)
    ]
    assert len(errors) == 36 and max(errors) < 10
    (some,) = asked
    passed = [i for i, path in enumerate(sorted(Path("w").glob("*.png"))) for one in some if (read(path) == one).all()]
    assert passed == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    made(colour, "--n", "40", "--frames", "1", "--scale", "1", "-o", "many.gif")
    assert len(asked[1]) == 14, "not only the first keys of many"


def test_nothing_is_overwritten_without_force(model: Path) -> None:
    for output in ("w.gif", "w.png", "w"):
        made(model, "--n", "3", "--frames", "2", "--loop", "-o", output)
        result = gancli("interpolate", model, "--n", "2", "-o", output)
        assert result.exit_code == 1 and f"{output} exists" in result.stderr
        made(model, "--n", "2", "--frames", "2", "--loop", "-o", output, "--force")
    assert len(film(Path("w.gif"))[0]) == 4
    assert len(list(Path("w").glob("*.png"))) == 4
    Path("v.webp.json").write_text("mine")
    result = gancli("interpolate", model, "-o", "v.webp")
    assert result.exit_code == 1 and "v.webp.json exists" in result.stderr and not Path("v.webp").exists()


def test_force_keeps_pictures_that_gancli_did_not_make(model: Path) -> None:
    photos = Path("photos")
    photos.mkdir()
    for name in ("00001.png", "00500.png", "20231.png", "beach.jpg", "provenance.json"):
        (photos / name).write_text("mine")
    result = gancli("interpolate", model, "--n", "2", "--frames", "3", "-o", photos, "--force")
    assert result.exit_code == 1 and "photos holds files" in result.stderr
    assert [path.read_text() for path in photos.iterdir()] == ["mine"] * 5


def test_the_same_command_gives_the_same_bytes(model: Path) -> None:
    for output in ("a.gif", "b.gif"):
        made(model, "--path", "circle", "--frames", "9", "-o", output)
    assert Path("a.gif").read_bytes() == Path("b.gif").read_bytes()


def test_json_is_one_object(model: Path) -> None:
    shown = json.loads(made(model, "--seeds", "3,7", "--frames", "2", "-o", "w.gif", "--json"))
    assert (shown["frames"], shown["seconds"], shown["seeds"], shown["output"]) == (4, 0.2, "3,7", "w.gif")


def test_a_large_film_gets_a_note(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gancli.video.formats.LARGE_BYTES", 100)
    result = gancli("interpolate", model, "--n", "2", "--frames", "2", "-o", "w.gif")
    assert "note: w.gif has 0.0 MB; to make it smaller" in result.stderr


def test_errors_are_one_line_and_leave_nothing(model: Path, tmp_path: Path) -> None:
    plain = save_model(tmp_path / "plain.safetensors", n_classes=0)
    line = save_model(tmp_path / "line.safetensors", z_dim=1, n_classes=0)
    opposite = "0," + next(str(seed) for seed in range(1, 20) if is_opposite(seed))
    rows = [
        ([model, "--seeds", "3"], 2, "needs two different latents"),
        ([model, "--n", "1"], 2, "needs two different latents"),
        ([model, "--seeds", "3", "--class", "1"], 2, "needs two different latents"),
        ([model, "--seeds", "3", "--path", "circle"], 2, "needs two different latents"),
        ([model, "--seeds", "3,3"], 2, "seed 3 is followed by itself"),
        ([model, "--seeds", "3,7,3"], 2, "where the loop closes; add --no-loop"),
        ([model, "--seeds", "3,7,9", "--path", "circle"], 2, "a circle goes through two latents"),
        ([plain, "--trunc", "0"], 2, "--trunc 0 leaves only one"),
        ([line, "--seeds", opposite], 2, "opposite"),
        ([line, "--seeds", opposite, "--path", "circle"], 2, "opposite"),
        ([model, "--path", "circle", "--no-loop"], 2, "--path circle always loops"),
        ([model, "--path", "spline"], 2, "spline"),
        ([model, "-o", "x.avi"], 2, "x.avi"),
        ([model, "--class", "square"], 2, "unknown class 'square'"),
        ([model, "--class", "0,7"], 2, "unknown class '7'"),
        ([model, "--class", "0,1,2", "--seeds", "3,7"], 2, "3 classes for 2 seeds"),
        ([plain, "--class", "1"], 2, "unconditional"),
        ([model, "--frames", "3", "--duration", "2s"], 2, "--frames and --duration cannot be combined"),
        ([model, "--n", "3", "--seeds", "2"], 2, "--n and --seeds cannot be combined"),
        ([model, "--frames", "0"], 2, "--frames"),
        ([model, "--frames", "19999"], 2, "99,995 frames are too many"),
        ([model, "--duration", "10h"], 2, "frames are too many"),
        ([model, "--duration", "0s"], 2, "--duration must be above 0"),
        ([model, "--duration", "soon"], 2, "cannot read the time"),
        ([model, "--duration", "9" * 400], 2, "is too long"),
        ([model, "-o", "-"], 1, "the terminal"),
        ([model, "--fps", "0"], 2, "fps must be from 0.1 to 50"),
        ([model, "--fps", "51"], 2, "fps must be from 0.1 to 50"),
        ([model, "--fps", "nan"], 2, "fps must be from 0.1 to 50"),
        ([model, "--grid", "four"], 2, "cannot read the grid"),
        ([model, "--grid", "40x40"], 2, "1,600 walks through 5 images each are too many"),
        ([model, "--grid", "30x30", "--n", "2", "--scale", "64"], 2, "too large"),
        ([model, "--grid", "2x2", "--seeds", "1-7"], 2, "7 seeds cannot be split equally between 4 walks"),
        ([model, "--n", "1000", "-o", "x.png"], 2, "x.png would be a strip"),
        ([model, "--seeds", "b"], 2, "cannot read the seeds"),
        ([model, "--device", "warp"], 2, "warp"),
        (["absent.safetensors"], 1, "no run folder, model file or images"),
        ([model, "-o", "absent/x.gif"], 1, "cannot write"),
    ]
    before = sorted(Path().rglob("*"))
    for arguments, code, message in rows:
        result = gancli("interpolate", *arguments)
        assert result.exit_code == code, (arguments, result.output)
        errors = [part for part in result.stderr.splitlines() if part.startswith("error: ")]
        assert len(errors) == 1 and message in errors[0], (arguments, result.stderr)
        assert sorted(Path().rglob("*")) == before, arguments
    assert len(rows) == 38


def is_opposite(seed: int) -> bool:
    """Whether a latent of one number has the opposite sign of that of seed 0."""
    from gancli.core.sampling import latents

    a, b = latents.latents_from_seeds([0, seed], 1).flatten().tolist()
    return a * b < 0
