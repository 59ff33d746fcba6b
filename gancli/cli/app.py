"""Assembles the commands; the one place where errors become a line and an exit code."""

import os
from typing import Annotated, Any

import typer
import typer.core

import gancli
from gancli.cli.sample import sample
from gancli.cli.train import train
from gancli.errors import GancliError


class Boundary(typer.core.TyperGroup):
    """Turns what a user can cause into one line on stderr. A bug stays a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GancliError as err:
            typer.echo(f"error: {err}", err=True)
            raise typer.Exit(err.exit_code) from err
        except KeyboardInterrupt as err:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from err
        except BrokenPipeError as err:
            raise typer.Exit(1) from err


app = typer.Typer(
    cls=Boundary,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train generative adversarial networks, and use what they learned.",
)


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gancli {gancli.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


app.command()(train)
app.command()(sample)


def main() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch starts: idle threads sleep, not spin
    app(prog_name="gancli")
