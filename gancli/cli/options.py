"""One Annotated type per flag, shared by the commands. Defaults and help of settings come from gancli.config."""

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gancli import config, presets
from gancli.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., None])


def setting_parameter(name: str) -> inspect.Parameter:
    """The flag of a TrainConfig field, as a parameter of a command; not given means that the preset decides."""
    f = config.setting_fields()[name]
    kind: Any = str if f.metadata["parse"] or f.type not in (bool, int, float) else f.type
    option = typer.Option(
        "/".join(filter(None, [config.flag_name(name), config.off_flag_name(name)])),
        help=f.metadata["help"],
        rich_help_panel=f.metadata["panel"],
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def with_setting_flags(command: Command) -> Command:
    """The command with a flag for each setting, which it takes as **settings; --help shows them in this order: that of
    the data first, those of the length behind --preset, the others behind --config."""
    first = ["data", *config.LENGTH_SETTINGS]
    after = {
        "ctx": ["data"],
        "preset": [*config.LENGTH_SETTINGS],
        "config": [name for name in config.tunable_settings() if name not in first],
    }
    params: list[inspect.Parameter] = []
    for param in inspect.signature(command).parameters.values():
        if param.kind is not inspect.Parameter.VAR_KEYWORD:
            params.append(param.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            params += map(setting_parameter, after.get(param.name, ()))
    command.__signature__ = inspect.Signature(params)  # type: ignore[attr-defined]
    return command


def was_given(ctx: typer.Context, name: str) -> bool:
    """Whether a parameter was typed, rather than left at its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_exclusive(**given: object) -> None:
    """Refuse two ways of saying the same thing; None is one that was not said."""
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} exclude each other; give one")


def canonical_command(ctx: typer.Context) -> str:
    """The command line in one canonical form, without the flags that change no pixel."""
    words: list[str] = []
    for param in ctx.command.params:
        if param.name is None or param.name in NON_PIXEL_FLAGS or not was_given(ctx, param.name):
            continue
        value, flag = ctx.params[param.name], max([*param.opts], key=len)
        if param.param_type_name == "argument":
            words += map(str, value if isinstance(value, (list, tuple)) else [value])
        elif isinstance(value, bool):
            words.append(flag if value else max([*param.secondary_opts], key=len, default=flag))
        else:
            words += [flag, str(value)]
    return shlex.join(["gancli", ctx.command.name or "", *words])


# What goes where, and how it is told. "form" and "singles" say which files a picture is in, not what it shows.
NON_PIXEL_FLAGS = {"output", "outdir", "form", "singles", "force", "as_json", "quiet", "preview", "device", "like"}

Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help=f"Named recipe: {config.format_choices(tuple(presets.PRESETS))}; left out, the data choose it.",
        rich_help_panel=config.RUN_PANEL,
    ),
]
ModelDevice = Annotated[
    str, typer.Option("--device", help=f"Where to generate: {config.format_choices(config.DeviceName)}.")
]
Fps = Annotated[float, typer.Option("--fps", help="Frames a second.")]

Outdir = Annotated[Path, typer.Option("--outdir", help="Where the numbered run folders are.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Source = Annotated[
    Path | None,
    typer.Argument(metavar="RUN|MODEL", help="Run folder or model file; left out, the newest run.", show_default=False),
]
Best = Annotated[bool, typer.Option("--best", help="Take model-best, the one with the best score in training.")]
Trunc = Annotated[
    float,
    typer.Option(
        "--trunc", min=0, max=config.MAX_TRUNC, help="Scale latents by this: below 1, fewer surprises and less variety."
    ),
]
Scale = Annotated[
    int,
    typer.Option(
        "--scale", min=1, max=config.MAX_SCALE, help="Enlarge every pixel to a square of so many.", show_default=True
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what exists.")]
