"""Names that the shell offers for a word at the Tab key. Everything here is fast and imports nothing heavy.

Where no name fits, the shell offers files. Names with special characters are omitted: some shells evaluate them.
"""

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import typer

from gancli.files.find_model import locate_model
from gancli.files.run_folder import list_run_folders, newest_run
from gancli.files.tensor_header import read_class_names

SAFE_NAME = re.compile(r"[\w./-]+")
SAFE_CLASS_NAME = re.compile(r"[\w.,/:+-]+( [\w.,/:+-]+)*")
SHELL_VARIABLE = "_GANCLI_COMPLETE"  # the shell's script sets it: "complete_bash"
UNQUOTED = ("complete_powershell", "complete_pwsh")  # would insert a name with a space as two words

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
    outdir = Path(f"{folder}/") if slash else find_outdir(ctx)
    names = [f"{folder}{slash}{run.path.name}" for run in list_run_folders(outdir)]
    return [name for name in names if name.startswith(incomplete) and SAFE_NAME.fullmatch(name)]


def complete_classes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the classes of the model on the command line, or of the newest run, also after a comma.

    Without a readable model, nothing is offered.
    """
    try:
        names = [name for name in read_class_names(find_model(ctx)) if SAFE_CLASS_NAME.fullmatch(name)]
    except Exception:  # a traceback would appear in the command line that the user types
        return []
    if os.environ.get(SHELL_VARIABLE) in UNQUOTED:
        names = [name for name in names if " " not in name]
    return continue_list(names, incomplete)


def continue_list(names: Iterable[str], text: str) -> list[str]:
    """Return the texts that complete a name, or the last name of a comma-separated list without repeating a name."""
    earlier, comma, last = text.rpartition(",")
    used = {name.strip() for name in earlier.split(",")}
    after = comma + " " * (len(last) - len(last.lstrip()))
    listed = [
        f"{earlier}{after}{name}" for name in names if name.startswith(last.lstrip()) and name not in used and comma
    ]
    return [*dict.fromkeys([*(name for name in names if name.startswith(text)), *listed])]


def find_model(ctx: typer.Context) -> Path:
    """Return the model that the words before the completed one name. Raises RunError."""
    source = ctx.params.get("source") or next(iter(ctx.args), None)  # in args while the last flag has no value yet
    outdir = find_outdir(ctx)
    return locate_model(Path(source) if source else newest_run(outdir).path, outdir)[0]


def find_outdir(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("outdir") or "runs")


def complete_for_bash(app: Callable[[], None]) -> None:
    """Run the app to complete a word, with words as bash splits them and completions as bash has to receive them."""
    words, place = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
    joined = join_bash_words(words[: place + 1])
    os.environ |= {"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(len(joined) - 1)}
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            app()
    finally:
        for text in output.getvalue().splitlines():
            typer.echo(quote_for_bash(text, joined[-1]))


def join_bash_words(words: Sequence[str]) -> list[str]:
    """Join the words that bash splits at "=" and ":", so that `--outdir=DIR` and a name with a colon are one word."""
    joined: list[str] = []
    for before, word in zip(["", *words[:-1]], words, strict=True):
        if joined and (re.fullmatch("[=:]+", word) or re.fullmatch("[=:]+", before)):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def quote_for_bash(text: str, typed: str) -> str:
    """Quote a completion of a typed word, unless it is in open quotes; omit the part before a colon that bash keeps."""
    if any(typed.count(quote) % 2 for quote in "\"'"):
        return text
    start = text.rfind(":", 0, len(typed)) + 1 if ":" in typed else 0
    return text[start:].replace(" ", "\\ ")
