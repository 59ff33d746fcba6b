"""Flags that several commands share, as Annotated types, and flags made from the settings of gancli.config."""

import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from gancli import config, platform, presets
from gancli.cli.completion import complete_names, complete_runs
from gancli.datasets import DATASETS
from gancli.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., None])


def setting_parameter(name: str) -> inspect.Parameter:
    """Turn a TrainConfig field into a parameter of a command; its default None means that the preset decides."""
    f = config.setting_fields()[name]
    kind: Any = str if f.metadata["parse"] or f.type not in (bool, int, float) else f.type
    option = typer.Option(
        "/".join(filter(None, [config.flag_name(name), config.off_flag_name(name)])),
        help=f"{f.metadata['help']}  [default: {presets.default_text(name)}]",
        rich_help_panel=f.metadata["panel"],
        show_default=False,
        autocompletion=complete_names(setting_choices(name)),
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def setting_choices(name: str) -> tuple[str, ...]:
    """Return the names that a setting accepts; () if its values are not names."""
    kind = config.setting_fields()[name].type
    return tuple(DATASETS) if name == "data" else typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def with_setting_flags(command: Command) -> Command:
    """Add one flag for each setting to a command, which receives them as **settings.

    Order in --help: the data flag first, the length flags after --preset, all others after --config.
    """
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
    """Return whether a parameter was given on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_exclusive(**given: object) -> None:
    """Refuse flags that cannot be combined; None means not given."""
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} cannot be combined; give one")


def canonical_command(ctx: typer.Context) -> str:
    """Return the command line in canonical form, without flags that do not change pixels."""
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
    return platform.join_command(["gancli", ctx.command.name or "", *words])


# Flags for output paths and display. "form" and "singles" choose the files that are written, not their pixels.
NON_PIXEL_FLAGS = {"output", "outdir", "form", "singles", "force", "as_json", "quiet", "preview", "device", "like"}

Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help=f"Named recipe: {config.format_choices(tuple(presets.PRESETS))}.  [default: stacked for stacked-mnist, "
        f"else {presets.DEFAULT_PRESET}]",
        rich_help_panel=config.RUN_PANEL,
        autocompletion=complete_names(presets.PRESETS),
    ),
]
ModelDevice = Annotated[
    str,
    typer.Option(
        "--device",
        help=f"Device to generate on: {config.format_choices(config.DeviceName)}.",
        autocompletion=complete_names(typing.get_args(config.DeviceName)),
    ),
]
Fps = Annotated[float, typer.Option("--fps", help="Frames per second.")]

Outdir = Annotated[Path, typer.Option("--outdir", help="Folder that holds the numbered run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print only one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Hide progress.")]
Preview = Annotated[bool, typer.Option("--preview/--no-preview", help="Show some samples in a colour terminal.")]
Source = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN|MODEL",
        help="Run folder or model file.  [default: the newest run]",
        show_default=False,
        autocompletion=complete_runs,
    ),
]
Best = Annotated[bool, typer.Option("--best", help="Use model-best, the model with the best score during training.")]
Trunc = Annotated[
    float,
    typer.Option(
        "--trunc",
        min=0,
        max=config.MAX_TRUNC,
        help="Scale factor of the latents (truncation); below 1 gives cleaner, less varied samples.",
    ),
]
Scale = Annotated[
    int,
    typer.Option(
        "--scale",
        min=1,
        max=config.MAX_SCALE,
        metavar="N",
        help="Zoom factor: each pixel becomes a square of N x N.",
        show_default=True,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing output.")]
