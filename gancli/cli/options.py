"""One Annotated type per flag, shared by the commands. Defaults and help of settings come from gancli.config."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from gancli import config, presets
from gancli.errors import ConfigError


def setting_option(name: str, panel: str) -> Any:
    """The option of a TrainConfig field, below a heading in --help; not given means that the preset decides."""
    return typer.Option(
        "/".join(filter(None, [config.flag_name(name), config.off_flag_name(name)])),
        help=config.setting_fields()[name].metadata["help"],
        rich_help_panel=panel,
        show_default=False,
    )


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

RUN, DATA, NETWORKS, PENALTIES, AUGMENTATION, OPTIMIZER = (
    "The run", "Data", "Networks", "Loss and penalties", "Augmentation", "Optimizer and average"
)  # fmt: skip

Data = Annotated[str | None, setting_option("data", DATA)]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help=f"Named recipe: {config.format_choices(tuple(presets.PRESETS))}; left out, the data choose it.",
        rich_help_panel=RUN,
    ),
]
Kimg = Annotated[float | None, setting_option("kimg", RUN)]
Epochs = Annotated[float | None, setting_option("epochs", RUN)]
TimeBudget = Annotated[str | None, setting_option("time_budget", RUN)]
Conditional = Annotated[bool | None, setting_option("conditional", DATA)]
Clusters = Annotated[int | None, setting_option("clusters", DATA)]
Resolution = Annotated[int | None, setting_option("resolution", DATA)]
Fit = Annotated[str | None, setting_option("fit", DATA)]
Channels = Annotated[str | None, setting_option("channels", DATA)]
Background = Annotated[str | None, setting_option("background", DATA)]
Mirror = Annotated[bool | None, setting_option("mirror", DATA)]
MaxBad = Annotated[int | None, setting_option("max_bad", DATA)]
Model = Annotated[str | None, setting_option("model", NETWORKS)]
ZDim = Annotated[int | None, setting_option("z_dim", NETWORKS)]
GWidth = Annotated[int | None, setting_option("g_width", NETWORKS)]
DWidth = Annotated[int | None, setting_option("d_width", NETWORKS)]
SpectralNorm = Annotated[bool | None, setting_option("spectral_norm", NETWORKS)]
Loss = Annotated[str | None, setting_option("loss", PENALTIES)]
Gamma = Annotated[float | None, setting_option("gamma", PENALTIES)]
GammaEnd = Annotated[float | None, setting_option("gamma_end", PENALTIES)]
R2 = Annotated[bool | None, setting_option("r2", PENALTIES)]
R1Interval = Annotated[int | None, setting_option("r1_interval", PENALTIES)]
GradientPenalty = Annotated[float | None, setting_option("gradient_penalty", PENALTIES)]
Shift = Annotated[float | None, setting_option("shift", AUGMENTATION)]
Augment = Annotated[str | None, setting_option("augment", AUGMENTATION)]
AugmentStrength = Annotated[float | None, setting_option("augment_strength", AUGMENTATION)]
Ada = Annotated[bool | None, setting_option("ada", AUGMENTATION)]
BatchSize = Annotated[int | None, setting_option("batch_size", OPTIMIZER)]
BatchRampKimg = Annotated[float | None, setting_option("batch_ramp_kimg", OPTIMIZER)]
Lr = Annotated[float | None, setting_option("lr", OPTIMIZER)]
Beta1 = Annotated[float | None, setting_option("beta1", OPTIMIZER)]
Beta2 = Annotated[float | None, setting_option("beta2", OPTIMIZER)]
BurnIn = Annotated[float | None, setting_option("burn_in", OPTIMIZER)]
LrEnd = Annotated[float | None, setting_option("lr_end", OPTIMIZER)]
Beta2End = Annotated[float | None, setting_option("beta2_end", OPTIMIZER)]
LrDecayFrom = Annotated[float | None, setting_option("lr_decay_from", OPTIMIZER)]
ShareLatents = Annotated[bool | None, setting_option("share_latents", OPTIMIZER)]
EmaKimg = Annotated[float | None, setting_option("ema_kimg", OPTIMIZER)]
EvalKimg = Annotated[float | None, setting_option("eval_kimg", RUN)]
SnapshotKimg = Annotated[float | None, setting_option("snapshot_kimg", RUN)]
Seed = Annotated[int | None, setting_option("seed", RUN)]
Device = Annotated[str | None, setting_option("device", RUN)]
Threads = Annotated[str | None, setting_option("threads", RUN)]
Precision = Annotated[str | None, setting_option("precision", RUN)]

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
