"""One Annotated type per flag, shared by the commands. Defaults and help of settings come from gancli.config."""

import shlex
import typing
from pathlib import Path
from typing import Annotated, Any

import typer

from gancli import config, presets
from gancli.errors import ConfigError


def setting(name: str, *flags: str) -> Any:
    """The option of a TrainConfig field; not given means that the preset decides."""
    field = config.fields()[name]
    metavar = "|".join(typing.get_args(field.type)) or None
    return typer.Option(
        *(flags or (config.flag(name),)), help=f"{field.metadata['help']}", metavar=metavar, show_default=False
    )


def given(ctx: typer.Context, name: str) -> bool:
    """Whether a parameter was typed, rather than left at its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_one_of(**given: object) -> None:
    """Refuse two ways of saying the same thing; None is one that was not said."""
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} exclude each other; give one")


def typed(ctx: typer.Context) -> str:
    """The command line in one canonical form, without the flags that change no pixel."""
    words: list[str] = []
    for param in ctx.command.params:
        if param.name is None or param.name in SILENT or not given(ctx, param.name):
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
SILENT = {"output", "outdir", "form", "singles", "force", "as_json", "quiet", "preview", "device", "like"}

DEVICES = "|".join(typing.get_args(config.DeviceName))

Data = Annotated[str | None, setting("data")]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="Named recipe; left out, the data choose it.", metavar="|".join(presets.PRESETS)),
]
Kimg = Annotated[float | None, setting("kimg")]
Epochs = Annotated[float | None, setting("epochs")]
TimeBudget = Annotated[str | None, setting("time_budget")]
Conditional = Annotated[bool | None, setting("conditional", "--conditional/--unconditional")]
Clusters = Annotated[int | None, setting("clusters")]
Resolution = Annotated[int | None, setting("resolution")]
Fit = Annotated[str | None, setting("fit")]
Channels = Annotated[str | None, setting("channels")]
Background = Annotated[str | None, setting("background")]
Mirror = Annotated[bool | None, setting("mirror", "--mirror/--no-mirror")]
MaxBad = Annotated[int | None, setting("max_bad")]
Model = Annotated[str | None, setting("model")]
ZDim = Annotated[int | None, setting("z_dim")]
GWidth = Annotated[int | None, setting("g_width")]
DWidth = Annotated[int | None, setting("d_width")]
SpectralNorm = Annotated[bool | None, setting("spectral_norm", "--spectral-norm/--no-spectral-norm")]
Loss = Annotated[str | None, setting("loss")]
Gamma = Annotated[float | None, setting("gamma")]
GammaEnd = Annotated[float | None, setting("gamma_end")]
R2 = Annotated[bool | None, setting("r2", "--r2/--no-r2")]
R1Interval = Annotated[int | None, setting("r1_interval")]
GradientPenalty = Annotated[float | None, setting("gradient_penalty")]
Shift = Annotated[float | None, setting("shift")]
Augment = Annotated[str | None, setting("augment")]
AugmentStrength = Annotated[float | None, setting("augment_strength")]
Ada = Annotated[bool | None, setting("ada", "--ada/--no-ada")]
BatchSize = Annotated[int | None, setting("batch_size")]
BatchRampKimg = Annotated[float | None, setting("batch_ramp_kimg")]
Lr = Annotated[float | None, setting("lr")]
Beta1 = Annotated[float | None, setting("beta1")]
Beta2 = Annotated[float | None, setting("beta2")]
BurnIn = Annotated[float | None, setting("burn_in")]
LrEnd = Annotated[float | None, setting("lr_end")]
Beta2End = Annotated[float | None, setting("beta2_end")]
LrDecayFrom = Annotated[float | None, setting("lr_decay_from")]
ShareLatents = Annotated[bool | None, setting("share_latents", "--share-latents/--fresh-latents")]
EmaKimg = Annotated[float | None, setting("ema_kimg")]
EvalKimg = Annotated[float | None, setting("eval_kimg")]
SnapshotKimg = Annotated[float | None, setting("snapshot_kimg")]
Seed = Annotated[int | None, setting("seed")]
Device = Annotated[str | None, setting("device")]
Threads = Annotated[int | None, setting("threads")]

ModelDevice = Annotated[str, typer.Option("--device", help="Where to generate.", metavar=DEVICES)]
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
