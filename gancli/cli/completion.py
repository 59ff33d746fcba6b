"""Names that the shell offers for a word at the Tab key. Everything here is fast and imports nothing heavy.

Where no name fits, the shell offers files. Names with special characters are left out: some shells evaluate them.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from gancli.files.run_folder import list_run_folders

SAFE_NAME = re.compile(r"[\w./-]+")

Completer = Callable[[str], list[str]]


def complete_names(names: Iterable[str]) -> Completer:
    """Make a function that offers fixed names."""
    offered = [*names]

    def complete(incomplete: str) -> list[str]:
        return [name for name in offered if name.startswith(incomplete)]

    return complete


def complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer run folders, newest first: names below --outdir, or paths if the word has a slash."""
    folder, slash, _ = incomplete.rpartition("/")
    outdir = Path(f"{folder}/") if slash else Path(ctx.params.get("outdir") or "runs")
    names = [f"{folder}{slash}{run.path.name}" for run in list_run_folders(outdir)]
    return [name for name in names if name.startswith(incomplete) and SAFE_NAME.fullmatch(name)]
