"""The command line as the tests call it."""

from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from gancli.cli.app import app

FAST = [
    "--g-width",
    "8",
    "--d-width",
    "8",
    "--batch-size",
    "8",
    "--snapshot-kimg",
    "0.2",
    "--batch-ramp-kimg",
    "0",
    "--eval-kimg",
    "0",
    "--threads",
    "1",
]


def gancli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)
