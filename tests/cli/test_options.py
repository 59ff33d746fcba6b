"""The command line in a normal form, as a picture's record has it."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from gancli import config
from gancli.cli import options as opt
from gancli.cli.app import app as cli

app = typer.Typer()
seen: dict[str, object] = {}


@app.command("make")
def make(
    ctx: typer.Context,
    sources: Annotated[list[Path] | None, typer.Argument()] = None,
    number: Annotated[int, typer.Option("--number", "-n")] = 1,
    loop: Annotated[bool, typer.Option("--loop/--no-loop")] = True,
    best: opt.Best = False,
    trunc: opt.Trunc = 1,
    scale: opt.Scale = 1,
    output: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    force: opt.Force = False,
    quiet: opt.Quiet = False,
    as_json: opt.Json = False,
    device: str = "cpu",
) -> None:
    seen.update(
        typed=opt.canonical_command(ctx),
        given=[name for name in ("number", "loop", "scale") if opt.was_given(ctx, name)],
    )


def typed(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return str(seen["typed"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "gancli make"),
        (["-n", "3", "a", "b c"], "gancli make a 'b c' --number 3"),
        (["--number=3"], "gancli make --number 3"),
        (["--number", "1"], "gancli make --number 1"),  # given, though it is the default
        (["--loop", "--best"], "gancli make --loop --best"),
        (["--no-loop"], "gancli make --no-loop"),
        (["--scale", "4", "--trunc", "0.70"], "gancli make --trunc 0.7 --scale 4"),
        (["-o", "x.png", "--force", "-q", "--json", "--device", "cuda"], "gancli make"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_recorded_command_omits_flags_that_change_no_pixel(arguments: list[str], expected: str) -> None:
    assert typed(*arguments) == expected


def test_given_flags_are_distinguished_from_defaults() -> None:
    typed("--number", "1", "--no-loop")
    assert seen["given"] == ["number", "loop"]


@pytest.mark.parametrize("arguments", [["--trunc", "-1"], ["--trunc", "2.01"], ["--scale", "0"], ["--scale", "65"]])
def test_values_out_of_range_are_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_train_has_one_flag_for_each_setting_under_its_heading() -> None:
    options = {param.name: param for param in typer.main.get_command(cli).commands["train"].params}
    named = config.tunable_settings()
    assert len(named) >= 40 and {*named} <= {*options} and not {"ema_ramp", "tick_kimg"} & {*options}
    for name in named:
        about, option = config.setting_fields()[name].metadata, options[name]
        assert option.help.startswith(about["help"]) and option.rich_help_panel == about["panel"]
        assert option.opts == [config.flag_name(name)] and option.default is None
        assert option.secondary_opts == [flag for flag in [config.off_flag_name(name)] if flag]
