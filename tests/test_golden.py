"""Three tiny runs and their samples, compared with tests/golden/*.json; and an old run folder that must stay readable.

`pytest tests/test_golden.py --update-golden` writes the JSON files again. An unintended difference is a bug.
"""

import base64
import json
import math
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from conftest import ROOT, idx_bytes
from PIL import Image
from typer.testing import CliRunner

from gancli.cli.app import app

GOLDEN = ROOT / "tests" / "golden"
OLD_RUN = GOLDEN / "old_run"
UPDATE = "pytest tests/test_golden.py --update-golden"
MASKED = "<masked>"
CORNER = 32  # pixels of a frame's upper left corner that are recorded; of the rest only the mean

Json = dict[str, Any]

SMALL = "--batch-size 8 --batch-ramp-kimg 0 --threads 1 --device cpu"
RUNS = {
    "classic": f"train --preset classic --data tiny --kimg 0.12 --g-width 16 --d-width 16 --eval-kimg 0 {SMALL}",
    "quick": (
        "train --preset quick --data tiny --kimg 0.12 --g-width 8 --d-width 8 --r1-interval 2 --ema-kimg 0.05 "
        f"--augment color,translation,cutout --augment-strength 0.6 --mirror --eval-kimg 0.1 --seed 7 {SMALL}"
    ),
    "colour": (
        "train --preset r3gan-32 --data colour.npz --resolution 8 --kimg 0.08 --g-width 8 --d-width 8 --eval-kimg 0 "
        f"--clusters 2 --unconditional --spectral-norm --ada --augment flip,cutout --burn-in 0.5 {SMALL}"
    ),
}


def gancli(command: str) -> str:
    """The stdout of a command, which must succeed."""
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    return result.stdout


def write_data() -> None:
    """In the current folder: `tiny`, IDX files of 64 and 32 grey 8x8 pictures in 3 classes; `colour.npz`, 240 of 8x8.

    Computed from integers only, so they are the same on every machine.
    """
    y, x = np.mgrid[0:8, 0:8]
    Path("tiny").mkdir()
    for split, n in (("train", 64), ("t10k", 32)):
        bars = [(y // 2 == i % 3) * (100 + 37 * i % 156) + (x * i * 5 + y) % 16 for i in range(n)]
        pixels = np.stack(bars).astype(np.uint8)
        Path(f"tiny/{split}-images-idx3-ubyte").write_bytes(idx_bytes(pixels.shape, pixels.tobytes()))
        Path(f"tiny/{split}-labels-idx1-ubyte").write_bytes(idx_bytes((n,), bytes(i % 3 for i in range(n))))
    hues = [np.stack([(x * (i % 7) * 9 + y * k * 11 + i * 13) % 256 for k in (1, 2, 3)], -1) for i in range(240)]
    np.savez("colour.npz", images=np.stack(hues).astype(np.uint8))


def read_image(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def read_lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pack(pixels: np.ndarray) -> Json:
    return {"shape": list(pixels.shape), "zlib": base64.b64encode(zlib.compress(pixels.tobytes(), 9)).decode()}


def unpack(packed: Json) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed["zlib"])), np.uint8).reshape(packed["shape"])


def describe_image(path: Path) -> Json:
    pixels = read_image(path)
    return {
        "shape": list(pixels.shape),
        "mean": round(float(pixels.mean()), 2),
        "corner": pack(pixels[:CORNER, :CORNER]),
    }


def describe_model(path: Path) -> Json:
    """Metadata without the digest; name, type, shape, mean and norm of each tensor."""
    with safetensors.safe_open(path, "np") as file:
        metadata = {key: json.loads(value) for key, value in file.metadata().items()}
    metadata["gancli"]["meta"] = json.loads(metadata["gancli"]["meta"])
    metadata["gancli"]["sha256"] = MASKED
    tensors = {
        name: {
            "dtype": str(tensor.dtype),
            "shape": list(tensor.shape),
            "mean": float(tensor.astype(np.float64).mean()),
            "norm": float(np.linalg.norm(tensor.astype(np.float64))),
        }
        for name, tensor in sorted(safetensors.numpy.load_file(path).items())
    }
    return {"metadata": metadata, "tensors": tensors}


def describe_run(run: Path) -> Json:
    config = json.loads((run / "config.json").read_text(encoding="utf-8").replace(f"{Path.cwd()}/", ""))
    config["gancli"] = MASKED
    config["machine"] |= dict.fromkeys(("torch", "threads", "device"), MASKED)
    metrics, events = read_lines(run / "metrics.jsonl"), read_lines(run / "events.jsonl")
    assert all(line["train_s"] >= 0 for line in metrics)
    return {
        "files": sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()),
        "config": config,
        "metrics": [{**line, "train_s": MASKED} for line in metrics],
        "events": [{**line, "time": MASKED} for line in events],
        "model": describe_model(run / "model.safetensors"),
        "images": {
            name: describe_image(run / name)
            for name in ("reals.png", "samples.png", *(f"frames/{path.name}" for path in sorted(run.glob("frames/*"))))
        },
    }


def draw_samples(run: Path) -> np.ndarray:
    """Seeds 0 to 3, uint8 [4,H,W,C]; checks that they are the same in an npz, as single pictures and in a grid."""
    gancli(f"sample {run} --n 4 -o four.npz")
    gancli(f"sample {run} --n 4 --grid 2x2 -o four")
    with np.load("four.npz") as found:
        pictures = found["images"]
        assert found["seeds"].tolist() == [0, 1, 2, 3]
    side = pictures.shape[1]
    grid = read_image(Path("four/grid.png")).reshape(2 * side, 2 * side, -1)
    for seed, picture in enumerate(pictures):
        single = read_image(Path(f"four/seed{seed:04d}.png"))
        assert np.array_equal(single.reshape(picture.shape), picture)
        top, left = seed // 2 * side, seed % 2 * side
        assert np.array_equal(grid[top : top + side, left : left + side], picture)
    gancli(f"sample {run} --seeds 2 -o alone.png")
    assert np.array_equal(read_image(Path("alone.png")).reshape(pictures[2].shape), pictures[2])
    return pictures


def differences(golden: Any, now: Any, where: str = "", *, is_exact: bool = False) -> list[str]:
    """Where two JSON values differ: keys and their order, types, texts and whole numbers exactly, floats nearly.

    Floats must agree to a relative 1e-4. The order of float32 sums depends on the CPU and the version of torch: with
    AVX-512, AVX2 and SSE4 these runs differed by at most 1e-6, while a learning rate 1 % higher changes a loss by 1e-4
    and r_v by 2e-2. An accuracy counts images, so one logit near 0 changes it by 1 / 64; 0.02 is allowed.
    """
    if isinstance(golden, dict) and isinstance(now, dict):
        if list(golden) != list(now):
            return [f"{where}: expected the keys {list(golden)}, got {list(now)}"]
        pairs = [(f"{where}.{key}", golden[key], now[key]) for key in golden]
    elif isinstance(golden, list) and isinstance(now, list):
        if len(golden) != len(now):
            return [f"{where}: expected {golden}, got {now}"]
        pairs = [(f"{where}[{i}]", *pair) for i, pair in enumerate(zip(golden, now, strict=True))]
    else:
        slack = 0.02 if "accuracy" in where else 1e-7
        is_near = type(golden) is type(now) is float and math.isclose(golden, now, rel_tol=1e-4, abs_tol=slack)
        is_same = type(golden) is type(now) and golden == now
        return [] if is_same or (is_near and not is_exact) else [f"{where}: expected {golden!r}, got {now!r}"]
    return [one for place, *pair in pairs for one in differences(*pair, place, is_exact=is_exact)]


def image_differences(golden: Json, now: Json, where: str) -> list[str]:
    """Pictures may differ by one grey level, since floats that differ in their last bits may round differently."""
    if golden["shape"] != now["shape"] or abs(golden["mean"] - now["mean"]) > 0.1:
        return [f"{where}: expected {golden['shape']}, mean {golden['mean']}; got {now['shape']}, mean {now['mean']}"]
    worst = pixel_distance(unpack(golden["corner"]), unpack(now["corner"]))
    return [f"{where}: pixels differ by up to {worst}"] if worst > 1 else []


def pixel_distance(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("name", RUNS)
def test_a_tiny_run_and_its_samples_match_the_golden_file(name: str, request: pytest.FixtureRequest) -> None:
    write_data()
    gancli(RUNS[name])
    (run,) = Path("runs").iterdir()
    now = {"made_by": UPDATE, "command": f"gancli {RUNS[name]}", "folder": run.name, **describe_run(run)}
    now["seeds_0_to_3"] = pack(draw_samples(run))
    path = GOLDEN / f"{name}.json"
    if request.config.getoption("--update-golden"):
        path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    golden = json.loads(path.read_text(encoding="utf-8"))

    images, images_now = golden.pop("images"), now.pop("images")
    samples, samples_now = unpack(golden.pop("seeds_0_to_3")), unpack(now.pop("seeds_0_to_3"))
    config, config_now = golden.pop("config"), now.pop("config")
    floors, floors_now = config.pop("eval", None), config_now.pop("eval", None)  # measured, unlike the rest
    found = differences(golden, now) + differences(floors, floors_now, ".config.eval")
    found += differences(config, config_now, ".config", is_exact=True)
    found += differences(list(images), list(images_now), "images")
    found += [one for file, image in images.items() for one in image_differences(image, images_now[file], file)]
    assert not found, "\n".join(found)
    assert len(images) == 4
    assert samples.shape == samples_now.shape and pixel_distance(samples, samples_now) <= 1


def test_a_golden_file_distinguishes_names_orders_and_numbers() -> None:
    """The comparison must not pass by comparing nothing."""
    line = {"kind": "tick", "nimg": 64, "d_loss": 1.25, "accuracy": 0.5}
    assert differences([line], [{**line, "d_loss": 1.2501, "accuracy": 0.515}]) == []
    assert len(differences([line], [{**line, "d_loss": 1.2505}])) == 1
    assert len(differences([line], [{**line, "d_loss": 1.2501}], is_exact=True)) == 1
    assert len(differences([line], [{**line, "nimg": 65}])) == 1
    assert len(differences([line], [{"d_loss" if key == "d_los" else key: line[key] for key in reversed(line)}])) == 1
    assert len(differences([line], [line, line])) == 1
    assert len(differences({"a": None}, {"a": 0.0})) == 1


@pytest.fixture
def old_run() -> Path:
    """A copy of tests/golden/old_run, written once by the code of commit aa4509d.

    Made in the folder of `write_data` by

        gancli train --data tiny --kimg 0.1 --g-width 4 --d-width 4 --z-dim 4 --batch-size 8 --batch-ramp-kimg 0
            --eval-kimg 0.1 --threads 1 --device cpu
        gancli sample runs/00000-quick-tiny --n 4 --no-singles

    without plots, film, report.html, samples.png and the older checkpoint. The path of the data was then made relative
    in config.json and in the checkpoint.
    """
    write_data()
    run = Path("runs/00000-quick-tiny")
    shutil.copytree(OLD_RUN, run)
    return run


def test_an_old_run_folder_is_resumed_with_its_data(old_run: Path) -> None:
    before = {path: path.read_bytes() for path in (*old_run.glob("frames/*"), old_run / "metrics.jsonl")}
    record = json.loads((old_run / "config.json").read_text(encoding="utf-8"))
    result = json.loads(gancli(f"train --resume {old_run} --kimg 0.2 --json"))
    assert (result["nimg"], result["total_nimg"], result["reason"]) == (200, 200, "finished")
    now = json.loads((old_run / "config.json").read_text(encoding="utf-8"))
    assert now["data"] == record["data"]
    assert {name for name in record["train"] if record["train"][name] != now["train"][name]} == {"kimg"}
    assert all(path.read_bytes().startswith(content) for path, content in before.items()) and len(before) == 3
    assert [line["event"] for line in read_lines(old_run / "events.jsonl")] == [
        "start",
        "finished",
        "resume",
        "finished",
    ]
    assert (old_run / "checkpoint-000000200.safetensors").is_file() and (old_run / "report.html").is_file()


def test_an_old_run_folder_refuses_other_data(old_run: Path) -> None:
    pixels = Path("tiny/train-images-idx3-ubyte")
    pixels.write_bytes(pixels.read_bytes()[:-1] + b"\x07")
    result = CliRunner().invoke(app, ["train", "--resume", str(old_run), "--kimg", "0.2"])
    assert result.exit_code == 1 and "digest differs" in result.stderr


def test_an_old_run_folder_is_sampled_listed_and_reported(old_run: Path) -> None:
    picture = old_run / "samples/00000/grid.png"
    gancli(f"sample --like {picture} -o again.png")
    assert pixel_distance(read_image(picture), read_image(Path("again.png"))) <= 1
    gancli(f"sample {old_run} --class 1 --n 4 -o ones.npz --best")
    with np.load("ones.npz") as found:
        assert found["images"].shape == (4, 8, 8, 1) and found["labels"].tolist() == [1, 1, 1, 1]

    (listed,) = json.loads(gancli("runs --json"))["runs"]
    assert (listed["state"], listed["nimg"], listed["preset"], listed["data"]) == ("finished", 104, "quick", "tiny")
    gancli(f"report {old_run}")
    assert "kid_random" in (old_run / "report.html").read_text(encoding="utf-8")
    gancli(f"animate {old_run} -o film.png")
    assert Path("film.png").is_file()
