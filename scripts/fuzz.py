#!/usr/bin/env python3
"""Feed malformed input to every parser: it may accept the input, or refuse it in one line.

usage: scripts/fuzz.py [--minutes M] [--only NAME ...]

Hypothesis cuts, splices and overwrites valid files, replaces their metadata by random JSON with a correct digest, and
draws random texts. Any exception other than GancliError is a bug, and so is using more than 2 GiB of memory. A failing
example is shrunk and printed; turn it into a test. --minutes is the total time, split between the parsers.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gancli import config, presets
from gancli.cli.train import read_toml
from gancli.config import ModelSpec
from gancli.core import devices
from gancli.core.data import idx, image_files, load, resize
from gancli.core.data.dataset import build_image_set
from gancli.core.networks import model_file, tensor_file
from gancli.core.networks.build import build_generator
from gancli.core.training import checkpoint, finetune, run_config
from gancli.core.training.step import TrainStep
from gancli.errors import GancliError, make_printable
from gancli.export import card
from gancli.files import image_io, provenance
from gancli.files.run_config import RunConfig, read_run_config, to_json
from gancli.files.run_folder import RunDir, read_jsonl
from gancli.files.run_log import read_metrics
from gancli.report import overview, page

MORE_BYTES = 2**31
LINE = b'{"kind": "tick", "event": "start", "nimg": 100, "d_loss": 1.5, "train_s": 1.0}\n'
SPEC = ModelSpec(model="conv", z_dim=4, g_width=4, d_width=4, resolution=8, channels=1, n_classes=2)
WANTED = resize.Transform(8, 3, "pad")


@cache
def picture(form: str) -> bytes:
    pixels = np.arange(300, dtype=np.uint16).reshape(10, 10, 3) % 256
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).convert("P" if form == "GIF" else "RGB").save(file, form)
    return file.getvalue()


@cache
def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, images=np.arange(12 * 64, dtype=np.uint8).reshape(12, 8, 8), labels=np.arange(12) % 3)
    return file.getvalue()


@cache
def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(12):
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", picture("PNG"))
        archive.writestr("dataset.json", json.dumps({"labels": [[f"{'ab'[i % 2]}/{i}.png", i % 2] for i in range(12)]}))
    return file.getvalue()


@cache
def model() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    torch.manual_seed(0)
    info = model_file.ModelInfo(SPEC, "quick", 100, {"name": "x", "digest": "y"}, ("a", "b"), (3, 4))
    content = model_file.pack_model(build_generator(SPEC), info)
    return unpacked("model", content)


@cache
def run_record() -> RunConfig:
    flags = {"z_dim": 4, "g_width": 4, "d_width": 4, "kimg": 1.0, "device": "cpu", "batch_size": 8}
    pixels = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
    return run_config.build_run_config(
        *presets.resolve_config("quick", flags=flags), build_image_set("x", (pixels, torch.arange(20) % 2))
    )


@cache
def saved() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    state = TrainStep(run_record().train, SPEC, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        checkpoint.save_checkpoint(path, state, run_record(), 1.0)
        return unpacked("checkpoint", path.read_bytes())


def unpacked(kind: str, content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(content)
        file.flush()
        tensors, meta, _ = tensor_file.unpack_tensors(kind, Path(file.name))
    return tensors, meta


def read_run(path: Path) -> None:
    """Read a run folder with this file as its only checkpoint, as --init and --resume do."""
    path.rename(path.with_name("checkpoint-000000000.safetensors"))
    run, train = RunDir(path.parent), run_record().train
    finetune.load_run_networks(run, "run")
    found, _ = checkpoint.read_newest_checkpoint(run)
    run_config.check_against_checkpoint(run, run_record(), found.record)
    checkpoint.check_checkpoint_fits(found, train, SPEC)
    checkpoint.restore_checkpoint(TrainStep(train, SPEC, torch.device("cpu")), found)


def read_record(path: Path) -> None:
    record = read_run_config(RunDir(path.parent).config)
    to_json(record)
    run_config.run_config_notes(record)


def look_at(path: Path) -> None:
    """Read a run folder that contains this file, as report, runs and export do."""
    run = RunDir(path.parent)
    if path.name == "scores.json":
        path = path.rename(created(run.path / "scores" / "00000") / path.name)
    for file, content in (
        (run.config, json.dumps(to_json(run_record())).encode()),
        (run.metrics, LINE),
        (run.events, LINE),
    ):
        if not file.exists():
            file.write_bytes(content)
    json.dumps(overview.read_overview(run).to_json(), allow_nan=False)
    made = generator()
    page.render_report([run])
    card.render_card(made, run, {})


def created(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@cache
def generator() -> model_file.Model:
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(tensor_file.pack_tensors("model", *model()))
        file.flush()
        return model_file.load_model(Path(file.name))


def scores() -> dict[str, Any]:
    about = {"sha256": generator().digest, "data_digest": "y", "n_fake": 9, "n_real": 9, "nimg": 100, "features": "x"}
    return {"scores": {"fd_x": {"value": 2.0, "floor": 1.0, "reading": "so"}}, "conditions": about}


def read_settings(path: Path) -> None:
    presets.resolve_config(None, read_toml(path))


def read_images(path: Path) -> None:
    for _ in image_files.open_images(path).batches():
        pass


def read_data(path: Path) -> None:
    load.load_dataset(str(path))


Files = tuple[str, Callable[[], bytes], Callable[[Path], object]]
FILES: dict[str, Files] = {
    "model": ("model.safetensors", lambda: tensor_file.pack_tensors("model", *model()), model_file.load_model),
    "checkpoint": ("x.safetensors", lambda: tensor_file.pack_tensors("checkpoint", *saved()), read_run),
    "png of ours": ("x.png", lambda: picture("PNG"), image_io.read_png),
    "png text": (
        "x.png",
        lambda: image_io.encode_png(np.zeros((8, 8), np.uint8), {"a": "b" * 99}),
        image_io.read_png_text,
    ),
    **{
        form.lower(): (f"x.{form.lower()}", lambda form=form: picture(form), lambda path: convert(path))
        for form in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
    },
    "idx": ("x", lambda: struct.pack(">HBBIII", 0, 8, 3, 2, 4, 4) + bytes(32), lambda path: idx.read_idx(path, 3)),
    "npz": ("x.npz", npz, read_images),
    "zip": ("x.zip", zipped, read_images),
    "npz as data": ("x.npz", npz, read_data),
    "zip as data": ("x.zip", zipped, read_data),
    "jsonl": ("x.jsonl", lambda: b'{"kind": "tick", "nimg": 100, "d_loss": 1.5}\n' * 3, read_jsonl),
    "metrics": (
        "metrics.jsonl",
        lambda: b'{"kind": "tick", "nimg": 100}\n' * 3,
        lambda p: read_metrics(p),
    ),
    "record": ("config.json", lambda: json.dumps(to_json(run_record())).encode(), read_record),
    "toml": ("x.toml", lambda: b'preset = "quick"\nlr = 0.1\ntime_budget = "10m"\n', read_settings),
}


def convert(path: Path) -> None:
    resize.decode_image(path.read_bytes(), WANTED)


# Malicious or wrong replacements for a value; Hypothesis shrinks towards the first.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just(2**70)
    | st.just("../x\x1b[2J"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
EDIT = st.tuples(st.floats(0, 1), st.binary(max_size=12), st.integers(0, 12))


@st.composite
def damaged(draw: Any, content: bytes) -> bytes:
    """The file with up to four parts overwritten, inserted or removed, and sometimes truncated."""
    for where, new, taken in draw(st.lists(EDIT, max_size=4)):
        at = int(where * len(content))
        content = content[:at] + new + content[at + taken :]
    return content[: int(draw(st.sampled_from([1.0, 1.0, 1.0, 0.5, 0.98])) * len(content))]


def places(values: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in nested plain values."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [here, *(place for key, value in items for place in places(value, (*here, key)))]


@st.composite
def altered(draw: Any, values: Any) -> Any:
    """Plain values with up to three of them replaced or removed."""
    values = json.loads(json.dumps(values))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(values)))
        holder = values
        for key in place[:-1]:
            holder = holder[key]
        if not place:
            return draw(JSON)
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[place[-1]]
        else:
            holder[place[-1]] = draw(JSON)
    return values


def packed_again(kind: str, content: Callable[[], Any]) -> st.SearchStrategy[bytes]:
    tensors, meta = content()
    return altered(meta).map(lambda other: tensor_file.pack_tensors(kind, tensors, other))


PLAIN: dict[str, tuple[str, Callable[[], st.SearchStrategy[bytes]], Callable[[Path], object]]] = {
    "model's metadata": ("model.safetensors", lambda: packed_again("model", model), model_file.load_model),
    "checkpoint's metadata": ("x.safetensors", lambda: packed_again("checkpoint", saved), read_run),
    "record's values": ("config.json", lambda: as_json(altered(to_json(run_record()))), read_record),
    "metrics' values": (
        "metrics.jsonl",
        lambda: as_json(altered({"kind": "tick", "nimg": 100, "d_loss": 1.5})).map(lambda line: line + b"\n"),
        lambda path: read_metrics(path),
    ),
    "record on a page": ("config.json", lambda: as_json(altered({**to_json(run_record()), "eval": EVAL})), look_at),
    "metrics on a page": (
        "metrics.jsonl",
        lambda: as_json(altered({"kind": "eval", "nimg": 100, "fd_x": 1.5})).map(lambda line: line + b"\n"),
        look_at,
    ),
    "events on a page": (
        "events.jsonl",
        lambda: as_json(altered({"event": "warning", "name": "x", "text": "y", "nimg": 1})).map(
            lambda line: line + b"\n"
        ),
        look_at,
    ),
    "scores on a page": ("scores.json", lambda: as_json(altered(scores())), look_at),
    "labels of a zip": (
        "x.zip",
        lambda: as_json(altered({"labels": [["a/0.png", 0], ["a/1.png", 1]]})).map(labels),
        read_data,
    ),
    "provenance": (
        "x.txt",
        lambda: as_json(altered(RECORD)),
        lambda path: provenance.parse_record(path.read_text(), "it"),
    ),
}
EVAL = {"score": "fd_x", "floor": 1.0, "coverage_floor": 0.9, "class_tv_floor": 0.1, "n_fake": 9, "features": "x"}
RECORD = {
    **{"command": "gancli sample", "version": "0.1.0", "model": "model.safetensors", "sha256": "ab", "seeds": "0-3"},
    **{"classes": ["a"], "trunc": 1.0, "settings": {"n": 4}},
}


def as_json(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return values.map(lambda value: json.dumps(value).encode())


def labels(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(12):
            archive.writestr(f"a/{i}.png", picture("PNG"))
        archive.writestr("dataset.json", content)
    return file.getvalue()


TEXTS: dict[str, Callable[[str], object]] = {
    "seconds": config.parse_seconds,
    "colour": config.parse_colour,
    "augment": config.parse_augment,
    "seeds": config.parse_seeds,
    "grid": config.parse_grid,
    "class": lambda text: model_file.ModelInfo(SPEC, "x", 0, {}, ("a", "b,c")).class_indices(text),
    "data": lambda text: load.load_dataset(text or "x") if not os.path.exists(text) else None,
}
ALPHABET = st.text(st.sampled_from("0123456789-,.xhms #afAF\x00\x1b\n/é") | st.characters(), max_size=24)


def check_file(name: str, content: bytes) -> None:
    """Read the content as a command of a user would, in a new folder."""
    file, _, read = (FILES | PLAIN)[name]  # type: ignore[operator]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(content)
        refused(lambda: read(path))


def check_text(name: str, text: str) -> None:
    refused(lambda: TEXTS[name](text))


def refused(act: Callable[[], object]) -> None:
    try:
        act()
    except GancliError as err:
        assert make_printable(str(err)).isprintable() and str(err)
        assert not wanted_memory(err), "memory was allocated for an unchecked number in the file"


def wanted_memory(err: BaseException | None) -> bool:
    """Whether this error or one of its causes is an out-of-memory error."""
    if not isinstance(err, Exception):
        return False
    return devices.is_out_of_memory(err) or wanted_memory(err.__cause__ or err.__context__)


def properties() -> dict[str, Callable[[int, bool], None]]:
    """Parser name -> function (n, same) that runs n examples; same: the same examples each time."""
    found: dict[str, Callable[[int, bool], None]] = {}
    for name, (_, example, _) in FILES.items():
        found[name] = trial(check_file, name, lambda example=example: damaged(example()))
    for name, (_, contents, _) in PLAIN.items():
        found[name] = trial(check_file, name, contents)
    for name in TEXTS:
        found[f"text of {name}"] = trial(check_text, name, lambda: ALPHABET)
    return found


def trial(
    check: Callable[[str, Any], None], name: str, examples: Callable[[], st.SearchStrategy[Any]]
) -> Callable[[int, bool], None]:
    def run(n: int, same: bool) -> None:
        quiet = settings(
            max_examples=n, derandomize=same, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        quiet(given(examples())(lambda example: check(name, example)))()

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", nargs="+", choices=properties(), metavar="NAME", help=", ".join(properties()))
    args = parser.parse_args()
    chosen = {name: run for name, run in properties().items() if not args.only or name in args.only}
    failed = 0
    with confined():
        for name, run in chosen.items():
            failed += not tried(name, run, 60 * args.minutes / len(chosen))
    return 1 if failed else 0


@contextlib.contextmanager
def confined() -> Iterator[None]:
    """Use an empty cache, and allow only MORE_BYTES of memory beyond the present use."""
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()  # data and stack
    before, cache = resource.getrlimit(resource.RLIMIT_DATA), os.environ.get("GANCLI_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANCLI_CACHE"] = folder
        resource.setrlimit(resource.RLIMIT_DATA, (used + MORE_BYTES, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)
            os.environ.pop("GANCLI_CACHE")
            os.environ.update({"GANCLI_CACHE": cache} if cache else {})


def tried(name: str, run: Callable[[int, bool], None], seconds: float) -> bool:
    """Run examples for this many seconds; returns whether all passed."""
    n, until = 0, time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            run(100, False)
            n += 100
        print(f"{name}: {n:,} examples", flush=True)
    except Exception as err:
        print(f"{name}: FAILED after {n:,} examples: {type(err).__name__}: {err}", flush=True)
        for note in getattr(err, "__notes__", ()):
            print(f"    {note}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
