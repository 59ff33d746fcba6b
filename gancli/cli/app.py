"""Assemble the commands, and turn each error into one line and an exit code."""

import contextlib
import functools
import io
import os
import re
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer
import typer.core

from gancli import platform
from gancli._version import __version__
from gancli.cli import completion, processes
from gancli.cli.animate import animate
from gancli.cli.doctor import doctor
from gancli.cli.evaluate import evaluate
from gancli.cli.export import export
from gancli.cli.interpolate import interpolate
from gancli.cli.report import report
from gancli.cli.runs import runs
from gancli.cli.sample import sample
from gancli.cli.train import train
from gancli.errors import ConfigError, GancliError, make_printable

VALUE_OF_FLAG = re.compile(r"(--[a-z-]+=|-o)(.+)", re.DOTALL)  # --data=~/x, -o~/x or -o=~/x
UsageError: Any = typer.BadParameter.__base__  # Typer raises it for an unknown flag or an invalid value


class ErrorBoundary(typer.core.TyperGroup):
    """Turns errors of the user or the machine into one line on stderr. A bug still gives a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        wants_help = not args
        if ctx.resilient_parsing and platform.home_folder() is None:  # at the Tab key, where an error has no place
            return super().parse_args(ctx, args)
        try:
            return super().parse_args(ctx, expand_home(args))
        except UsageError as err:
            if wants_help:
                raise
            if not processes.is_first_process():
                raise typer.Exit(2) from err
            exit_with_error(err.format_message(), 2, err)

    def invoke(self, ctx: Any) -> Any:
        try:
            with processes.join_processes() as world:
                if world and world.rank:
                    return processes.follow_first_process(world)
                ctx.obj = world
                return super().invoke(ctx)
        except GancliError as err:
            exit_with_error(str(err), err.exit_code, err)
        except UsageError as err:
            exit_with_error(err.format_message() + usage_advice(err), 2, err)
        except BrokenPipeError as err:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads stdout; Python would print an error at exit
            raise typer.Exit(1) from err
        except OSError as err:
            exit_with_error(f"{err.strerror or err}{f': {err.filename}' if err.filename else ''}", 1, err)
        except KeyboardInterrupt as err:
            echo_stderr("interrupted")
            raise typer.Exit(128 + (err.args[0] if err.args else signal.SIGINT)) from err


def expand_home(args: list[str]) -> list[str]:
    """Replace ~ at the start of a value by the home folder, also where the shell does not, as in `--outdir=~/runs`.

    `-o=FILE` becomes `-o FILE`.
    """
    words: list[str] = []
    end = args.index("--") if "--" in args else len(args)
    for i, word in enumerate(args):
        found = VALUE_OF_FLAG.fullmatch(word) if i < end else None
        flag, value = found.groups() if found else ("", word)
        value = value.removeprefix("=") if flag == "-o" else value
        path = platform.expand_home(value)
        if path is None:
            unknown = ConfigError(f"the home folder is not known; give the full path instead of {value}, or set HOME")
            exit_with_error(str(unknown), unknown.exit_code, unknown)
        words += [flag, path] if flag == "-o" else [f"{flag}{path}"]
    return words


def usage_advice(err: Any) -> str:
    """What to do about a usage error whose message does not say it."""
    is_extra = "unexpected extra argument" in err.format_message()
    return "; give the data with --data" if is_extra and err.ctx and err.ctx.command.name == "train" else ""


def exit_with_error(message: str, exit_code: int, err: Exception) -> NoReturn:
    """Print the error in one line and exit; control characters from files or paths are escaped."""
    echo_stderr(f"error: {make_printable(message)}")
    raise typer.Exit(exit_code) from err


def echo_stderr(line: str) -> None:
    """Print on stderr; ignore a closed stderr."""
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)


app = typer.Typer(
    cls=ErrorBoundary,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train generative adversarial networks and use the trained models.",
)


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gancli {__version__}")
        raise typer.Exit


@app.callback()
def global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


app.command()(train)
app.command()(sample)
app.command()(interpolate)
app.command()(evaluate)
app.command()(animate)
app.command()(report)
app.command()(export)
app.command()(runs)
app.command()(doctor)


def raise_interrupt(number: int, _: object) -> NoReturn:
    """Raise KeyboardInterrupt, so that partial files are removed; ignore further signals during this cleanup."""
    for each in platform.STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def main() -> None:
    for number in platform.STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup sets SIG_IGN
            signal.signal(number, raise_interrupt)
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # the CPU runs what Apple GPUs do not support
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=platform.STDOUT_ERRORS)  # any path can be printed
    run = functools.partial(app, prog_name="gancli")
    try:
        if os.environ.get(completion.SHELL_VARIABLE) == "complete_bash":
            completion.complete_for_bash(run)
        else:
            run()
    finally:
        for number in platform.STOP_SIGNALS:  # nothing is left to clean up; a signal would print a traceback at exit
            signal.signal(number, signal.SIG_IGN)
