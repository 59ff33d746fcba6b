"""The command line as the tests call it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from gancli.cli.app import app
from gancli.config import flag_name

SMALL: dict[str, Any] = {  # settings of gancli.train that make a run fast
    "g_width": 8,
    "d_width": 8,
    "batch_size": 8,
    "snapshot_kimg": 0.2,
    "batch_ramp_kimg": 0,
    "eval_kimg": 0,
    "threads": 1,
}
FAST = [word for name, value in SMALL.items() for word in (flag_name(name), str(value))]


def gancli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


STORE = Path()  # conftest.py: the worker's folder of trained runs
TRAINED: dict[tuple[str, ...], Path] = {}  # (name of the data, flags) -> its path when it was trained


def trained(data: Path, *flags: str) -> Path:
    """Train a run on data in the current folder, with FAST and the flags. Only the first test of a worker trains; other
    tests get a copy of its files, with the path of their own data."""
    runs, here = Path("runs"), Path.cwd()
    run = runs / f"{len([*runs.glob('*')]):05d}-quick-{data.name}"
    key = (data.name, *flags)
    if key not in TRAINED:
        result = gancli("train", "--data", data.name, *FAST, *flags)  # a relative path, also in the checkpoints
        assert result.exit_code == 0, result.output
        shutil.copytree(run, STORE / str(len(TRAINED)) / run.name)
        TRAINED[key] = STORE / str(len(TRAINED)) / run.name
        (TRAINED[key].parent / "folder").write_text(str(here))
        return run
    shutil.copytree(TRAINED[key], run)
    before = (TRAINED[key].parent / "folder").read_bytes()
    for name in ("config.json", "report.html"):
        content = (run / name).read_bytes().replace(before, bytes(here))
        (run / name).write_bytes(content.replace(TRAINED[key].name.encode(), run.name.encode()))
    return run


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)
