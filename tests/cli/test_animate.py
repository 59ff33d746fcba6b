import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import gancli
from PIL import Image

from gancli._version import install_hint
from gancli.files import image_io
from gancli.files.run_folder import RunDir
from gancli.report import film
from gancli.video import formats

NIMGS = (0, 500, 1000, 1500, 2000)


def make_run(preset, *nimgs, outdir="runs"):
    """The files of a run that a film needs."""
    run = RunDir.create(Path(outdir), preset)
    data = {"name": "tiny", "n_train": 1000, "resolution": 8}
    run.write_json(run.config, {"preset": preset, "data": data})
    for nimg in nimgs or NIMGS:
        pixels = np.random.default_rng(nimg).integers(0, 256, (16, 24), dtype=np.uint8)
        image_io.write_png(run.frame(nimg), pixels)
    lines = [{"kind": "tick", "nimg": nimg, "d_loss": 1.2, "g_loss": 0.9} for nimg in (1000, 2000)]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.fixture
def run():
    return make_run("quick")


def durations(path):
    with Image.open(path) as pictures:
        found = []
        for i in range(pictures.n_frames):
            pictures.seek(i)
            pictures.load()
            found.append(pictures.info["duration"])
    return found


def files():
    return {path for path in Path().rglob("*") if path.is_file() and "home" not in path.parts}


def test_without_arguments_the_film_of_the_newest_run_is_made_again(run):
    newest = make_run("classic")
    newest.film.write_bytes(b"old")
    end = gancli("animate")
    assert end.exit_code == 0
    assert durations(newest.film) == [80, 80, 80, 80, 2000]
    assert f"using the newest run, {newest.path}" in end.stderr
    assert end.stdout == f"5 frames, 2.32 s: {newest.film}\n"
    assert not run.film.exists()


def test_it_makes_the_same_film_as_training(run):
    film.write_progress_film(run)
    first = run.film.read_bytes()
    run.film.unlink()
    assert gancli("animate", run.path).exit_code == 0
    assert run.film.read_bytes() == first


def test_it_needs_only_frames_config_and_metrics(run):
    assert gancli("animate", run.path, "--plots").exit_code == 0
    assert {path.name for path in run.path.iterdir()} == {"config.json", "metrics.jsonl", "frames", "films"}


IMPORTS = """
import sys
sys.argv = ["gancli", "animate", "--plots"]
from gancli.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code
print(",".join(name for name in ("torch", "matplotlib", "safetensors", "imageio_ffmpeg") if name in sys.modules))
"""


def test_it_needs_neither_torch_nor_matplotlib_nor_ffmpeg(run):
    end = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert end.returncode == 0 and (run.path / "films/00000/progress.gif").exists()
    assert end.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--fps", "10"], [100, 100, 100, 100, 2000]),
        (["--duration", "1s", "--hold", "0.5s"], [250, 250, 250, 250, 500]),
        (["--every", "3", "--hold", "1s"], [80, 80, 1000]),
        (["--every", "99"], [80, 2000]),
    ],
    ids=str,
)
def test_times_are_as_requested(run, flags, expected):
    assert gancli("animate", *flags, "-o", "x.gif").exit_code == 0
    assert durations("x.gif") == expected


def test_a_rate_that_a_gif_cannot_keep_gets_a_note(run):
    assert "33.33 frames per second instead of 30" in gancli("animate", "--fps", "30").stderr
    for flags in ([], ["--fps", "25"], ["--duration", "3s"], ["--fps", "30", "-o", "x.webp"]):
        assert "instead" not in gancli("animate", *flags).stderr, flags
    assert durations("x.webp") == [33, 34, 33, 33, 2000]


def test_only_a_film_like_that_of_training_replaces_it(run):
    film.write_progress_film(run)
    first = run.film.read_bytes()
    for number, flags in enumerate((["--plots"], ["--every", "2"], ["--no-caption"])):
        end = gancli("animate", *flags)
        place = run.path / "films" / f"0000{number}"
        assert end.stdout.endswith(f": {place / 'progress.gif'}\n")
        assert {path.name for path in place.iterdir()} == {"progress.gif", "provenance.json"}
    assert run.film.read_bytes() == first
    run.film.write_bytes(b"old")
    assert gancli("animate", "--hold", "2s", "--fps", "12.5").exit_code == 0
    assert run.film.read_bytes() == first


@pytest.mark.parametrize("name", ["x.gif", "x.webp", "x.mp4"])
def test_films_of_every_format(run, name):
    if name == "x.mp4":
        pytest.importorskip("imageio_ffmpeg")
    end = gancli("animate", "-o", name, "--json")
    assert end.exit_code == 0
    about = json.loads(end.stdout)
    assert about == {"runs": [str(run.path)], "frames": 5, "seconds": 2.32, "output": name}
    assert Path(name).stat().st_size > 1000
    assert not run.film.exists()
    made = json.loads(Path(f"{name}.json").read_text())
    assert (made["command"], made["runs"]) == ("gancli animate", [run.path.name])
    assert made["moments"] == list(NIMGS)


def test_strip_and_folder_record_how_they_were_made(run):
    assert gancli("animate", "-o", "strip.png", "--every", "2").exit_code == 0
    assert gancli("animate", "-o", "frames", "--every", "2").exit_code == 0
    with Image.open("strip.png") as strip:
        made = json.loads(strip.text["gancli"])
        assert strip.size[0] == 3 * 552
    assert made["command"] == "gancli animate --every 2"
    assert (made["runs"], made["moments"]) == ([run.path.name], [0, 1000, 2000])
    names = sorted(path.name for path in Path("frames").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png", "provenance.json"]
    assert json.loads(Path("frames/provenance.json").read_text()) == {**made, "files": names[:3]}


def test_runs_side_by_side_go_to_a_new_numbered_film(run):
    classic = make_run("classic", 0, 512, 1024)
    for number in range(2):
        end = gancli("animate", run.path, classic.path.name, "--plots")
        assert end.exit_code == 0
        assert end.stdout.endswith(f": films/0000{number}/progress.gif\n")
    assert durations("films/00000/progress.gif") == [80, 80, 80, 80, 2000]
    made = json.loads(Path("films/00000/provenance.json").read_text())
    assert made["runs"] == [run.path.name, classic.path.name]
    assert not run.film.exists() and not classic.film.exists()


def test_captions_curves_and_rows_change_the_size(run):
    sizes = []
    for flags in ([], ["--no-caption"], ["--plots"], ["--rows", "1"]):
        assert gancli("animate", *flags, "--force", "-o", "x.gif").exit_code == 0
        with Image.open("x.gif") as pictures:
            sizes.append(pictures.size)
    (width, height), without, plots, rows = sizes
    assert without == (width, 368) and height > 368
    assert plots[0] > 2 * width and plots[1] > height - 40
    assert rows[1] < height


def test_existing_films_are_overwritten_only_with_force(run):
    Path("x.gif").write_bytes(b"mine")
    refused = gancli("animate", "-o", "x.gif")
    assert refused.exit_code == 1 and "--force" in refused.stderr
    assert Path("x.gif").read_bytes() == b"mine"
    assert gancli("animate", "-o", "x.gif", "--force").exit_code == 0
    assert len(durations("x.gif")) == 5
    Path("y.webp.json").write_text("mine")
    refused = gancli("animate", "-o", "y.webp")
    assert refused.exit_code == 1 and "y.webp.json exists" in refused.stderr and not Path("y.webp").exists()


def without_frames(run):
    shutil.rmtree(run.frames)


def without_metrics(run):
    run.metrics.unlink()


def with_damage(run):
    run.frame(1500).write_bytes(b"cut short")


def with_another_size(run):
    image_io.write_png(run.frame(1500), np.zeros((8, 8), np.uint8))


def nothing(run):
    pass


@pytest.mark.parametrize(
    ("spoil", "flags", "code", "words"),
    [
        (without_frames, [], 1, "no frames for a film; train it longer"),
        (without_metrics, ["--plots"], 1, "no measurements to plot; omit --plots"),
        (with_damage, [], 1, "000001500.png: damaged"),
        (with_another_size, [], 1, "000001500.png differs in size"),
        (nothing, ["-o", "x.avi"], 2, "x.avi"),
        (nothing, ["-o", "missing/x.gif"], 1, "missing"),
        (nothing, ["runs/99999-no-such"], 1, "no run folder"),
        (nothing, ["home"], 1, "not a run folder"),
        (nothing, ["--fps", "99"], 2, "fps must be from 0.1 to 50"),
        (nothing, ["--fps", "0"], 2, "fps must be from 0.1 to 50"),
        (nothing, ["--fps", "nan"], 2, "fps must be from 0.1 to 50"),
        (nothing, ["--hold", "soon"], 2, "cannot read the time"),
        (nothing, ["--duration", "0.01s"], 2, "5 frames in 0.01 s exceed 50 frames a second"),
        (nothing, ["--duration", "8s", "--fps", "12"], 2, "cannot be combined"),
        (nothing, ["--every", "0"], 2, "--every"),
        (nothing, ["--rows", "0"], 2, "--rows"),
        (nothing, ["runs/00000-quick"] * 9, 2, "at most 8 runs"),
    ],
    ids=lambda value: value.__name__ if callable(value) else " ".join(value) if isinstance(value, list) else None,
)
def test_impossible_films_are_refused_in_one_line_and_leave_nothing(run, spoil, flags, code, words):
    spoil(run)
    before = files()
    end = gancli("animate", *flags)
    assert end.exit_code == code
    assert [line for line in end.stderr.splitlines() if line.startswith("error: ")] == [end.stderr.splitlines()[-1]]
    assert words in end.stderr
    assert not end.stdout and files() == before


def test_mp4_without_its_extra_says_how_to_get_it(run, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imageio_ffmpeg" else found(name))
    end = gancli("animate", "-o", "x.mp4")
    assert end.exit_code == 2
    assert install_hint("video") in end.stderr and not Path("x.mp4").exists()


def test_no_run_at_all_says_what_to_do():
    end = gancli("animate")
    assert end.exit_code == 1
    assert "gancli train" in end.stderr


def test_a_large_film_gets_a_hint_to_shrink_it(run, monkeypatch):
    monkeypatch.setattr(formats, "LARGE_BYTES", 1000)
    assert "--every 2" in gancli("animate").stderr
