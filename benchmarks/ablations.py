"""Measure what each change to the tutorial's recipe improves, and which changes prevent overfitting.

    python benchmarks/ablations.py ladder --out ladder      # eight recipes, a minute each, three seeds
    python benchmarks/ablations.py cures --out cures        # four runs of 1,000 epochs

`ladder` makes one change after another; `cures` makes one change at a time. The runs are gancli commands. Each run
appends a line to ladder.jsonl or cures.jsonl in the output folder and saves a strip of samples there; finished runs are
skipped. Draws ladder.png or cures.png there and prints the table. --draw trains nothing. The scores of the ladder come
from benchmarks/judge.py.
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import figures
import judge
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from runs import gancli, spread

from gancli import config
from gancli.files.run_folder import RunDir
from gancli.files.run_log import read_metric_records
from gancli.presets import DEFAULT_PRESET, PRESETS
from gancli.report.series import log_axis_limits, metric_series, smooth_centred
from gancli.wording import format_count, format_significant

Record = dict[str, Any]

DATA, SCORE = "mnist-5k", "fd_digits"
N_FAKES = 10_000

# Recipe -> flags that it adds to those of the recipes before it. The default preset, which comes last, has no flags.
LADDER = {
    "classic": "--preset classic",
    "+ convolution": "--model conv --g-width 64 --d-width 64",
    "+ Adam settings": "--lr 2e-3 --beta1 0 --beta2 0.99",
    "+ R1": "--gamma 0.5 --r1-interval 8",
    "+ EMA": "--ema-kimg 10",
    "+ labels": "--conditional",
    "+ augmentation": "--shift 0.6",
}
DEFAULT = "default preset"

# Cure -> flags that it adds to `classic`: a limit to D's gradient, more varied images, or a D that is too small to
# memorise. Not --ada: it waits for an r_v of 0.6, and `classic` overfits below that.
CURES = {
    "classic": "",
    "R1": "--gamma 10",
    "augmentation": "--augment translation",
    "small D": "--d-width 64",
}
COLOURS = dict(zip(CURES, (figures.BLACK, figures.BLUE, figures.ORANGE, figures.GREEN), strict=True))

JUDGES = {
    "relu": ("ReLU", figures.BLUE),
    "batchnorm": ("batch norm", figures.ORANGE),
    "autoencoder": ("autoencoder", figures.GREEN),
}

# The figure of the ladder, in pixels.
WIDTH, ROW, HEAD, FOOT = 900, 64, 84, 66
SCALE_LEFT, SCALE_WIDTH, STRIP_LEFT, SAMPLE, SHOWN = 166, 362, 552, 42, 8


@dataclass(frozen=True)
class Run:
    """One training run. These fields identify its record. flags: all flags; preset: the settings of its preset."""

    name: str
    seed: int
    flags: str
    preset: Record

    def is_in(self, record: Record) -> bool:
        return all(record.get(key) == value for key, value in vars(self).items())


def strip_path(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.removeprefix('+ ').replace(' ', '-')}-{seed}.png"


def ladder(seeds: Sequence[int], time_budget: str) -> list[Run]:
    """The runs of the ladder. They compute no scores during training, since that would use some of the time budget."""
    recipes, flags = {}, ""
    for name, added in LADDER.items():
        recipes[name] = flags = f"{flags} {added}".strip()
    recipes[DEFAULT] = ""
    common = f"--data {DATA} --eval-kimg 0 --time-budget {time_budget}"
    return [
        Run(name, seed, f"{recipe} {common} --seed {seed}".strip(), settings(recipe))
        for seed in seeds
        for name, recipe in recipes.items()
    ]


def cures(seeds: Sequence[int], epochs: float) -> list[Run]:
    recipes = {name: f"--preset classic {added}".strip() for name, added in CURES.items()}
    return [
        Run(name, seed, f"{recipe} --data {DATA} --epochs {epochs:g} --seed {seed}", settings(recipe))
        for seed in seeds
        for name, recipe in recipes.items()
    ]


def settings(recipe: str) -> Record:
    return config.config_to_values(PRESETS["classic" if recipe.startswith("--preset classic") else DEFAULT_PRESET])


def measure(what: str, run: Run, out: Path) -> Record:
    """Train, save a strip of samples, and score the result."""
    with tempfile.TemporaryDirectory() as folder:
        trained = gancli("train", *shlex.split(run.flags), "--outdir", folder)
        made = RunDir.open(Path(trained["run"]))
        strip = strip_path(out, run.name, run.seed)
        gancli("sample", made.path, "--n", SHOWN, "--grid", f"1x{SHOWN}", "--force", "-o", strip)
        found = judged(made, Path(folder)) if what == "ladder" else watched(made, Path(folder))
        n_train = made.read_config()["data"]["n_train"]
    return {**vars(run), "nimg": trained["nimg"], "train_s": trained["train_s"], "n_train": n_train, **found}


def judged(run: RunDir, folder: Path) -> Record:
    fakes = folder / "samples.npz"
    gancli("sample", run.path, "--n", N_FAKES, "-o", fakes)
    return judge.score(judge.load_judges(DATA), judge.read_pictures(fakes, 1))


def watched(run: RunDir, folder: Path) -> Record:
    """The measurements during training, and the scores of the last generator."""
    measured = read_metric_records(run)

    def column(kind: str, key: str) -> list[Record]:
        return [{"nimg": one["nimg"], key: one.get(key)} for one in measured if one["kind"] == kind]

    metrics = "frechet,classes,memorization"
    scores = gancli("evaluate", run.path, "--n", N_FAKES, "--metrics", metrics, "-o", folder / "scores")["scores"]
    return {
        "floor": run.read_config()["eval"]["floor"],
        "evaluations": column("eval", SCORE),
        "ticks": column("tick", "r_v"),
        "scores": {name: score["value"] for name, score in scores.items()},
    }


def draw_ladder(records: Mapping[str, Sequence[Record]], out: Path, budget_s: float) -> None:
    """Draw a row for each recipe: its scores by each judge in multiples of the floor, and samples of its first seed."""
    height = HEAD + ROW * len(records) + FOOT
    figure = Figure(figsize=(WIDTH / figures.DPI, height / figures.DPI), dpi=figures.DPI, facecolor="white")

    def place(left: float, top: float, width: float, tall: float) -> Axes:
        return figure.add_axes((left / WIDTH, 1 - (top + tall) / height, width / WIDTH, tall / height))

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / WIDTH, 1 - y / height, text, **{"va": "center", **style})

    write(14, 24, f"{DATA}: one change at a time, {budget_s:g} s of training each", fontsize=15, fontweight="bold")
    axes = place(SCALE_LEFT, HEAD, SCALE_WIDTH, ROW * len(records))
    axes.set_xscale("log")
    multiples = [one["multiple"] for some in records.values() for record in some for one in record["judges"].values()]
    axes.set_xlim(log_axis_limits([*multiples, 1]))
    axes.set_ylim(len(records) - 0.5, -0.5)
    axes.xaxis.set_major_locator(LogLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
    axes.tick_params(labelsize=11)
    axes.set_xlabel("Frechet distance, multiples of the floor", fontsize=12)
    axes.axvline(1, color=figures.BLACK, linewidth=1.4, linestyle=(0, (5, 3)))
    for row, (name, some) in enumerate(records.items()):
        if row:
            axes.axhline(row - 0.5, color="#e4e4e4", linewidth=0.8)
        for i, (key, (label, color)) in enumerate(JUDGES.items()):
            found = [record["judges"][key]["multiple"] for record in some]
            y = row + 0.2 * (i - 1)
            axes.plot([min(found), max(found)], [y, y], color=color, linewidth=2, alpha=0.45)
            axes.plot(found, [y] * len(found), "o", color=color, markersize=5.5, label="" if row else label)
        middle = HEAD + ROW * (row + 0.5)
        write(14, middle - 9, name, fontsize=12, fontweight="bold")
        kimg = [record["nimg"] / 1000 for record in some]
        write(14, middle + 11, f"{np.mean(kimg):,.0f} kimg", fontsize=10, color=figures.GREY)
        strip = place(STRIP_LEFT, middle - SAMPLE / 2, SAMPLE * SHOWN, SAMPLE)
        strip.imshow(imread(strip_path(out, name, some[0]["seed"])), cmap="gray", vmin=0, vmax=1, aspect="auto")
        strip.axis("off")
    figure.subplots_adjust(left=SCALE_LEFT / WIDTH)  # the legend starts here
    figures.add_legend(figure, axes, 1 - (HEAD - 22) / height)
    seeds = max(map(len, records.values()))
    note = f"{format_count(seeds, 'run')} of each; dashed: floor\nsamples: seeds 0 to {SHOWN - 1}"
    figures.add_note(figure, note)
    figures.save_figure(figure, out / "ladder.png")


def draw_cures(records: Mapping[str, Sequence[Record]], out: Path) -> None:
    """Draw the score and r_v over images seen, a curve for each run."""
    figure, (above, below) = figures.new_figure(f"{DATA}: three cures for overfitting", 6.5, 0.13, (3, 2))
    every = [record for some in records.values() for record in some]
    floor = every[0]["floor"]
    scores = [score for record in every for score in metric_series(record["evaluations"], SCORE)[1]]
    above.set_yscale("log")
    above.set_ylim(log_axis_limits([*scores, floor]))
    above.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    above.yaxis.set_minor_locator(NullLocator())
    above.set_ylabel(f"{SCORE} of 2,000 samples,\nlower is better", fontsize=12)
    for name, some in records.items():
        style: dict[str, Any] = {"color": COLOURS[name], "linewidth": 2}
        for i, record in enumerate(some):
            above.plot(*metric_series(record["evaluations"], SCORE), **style, label="" if i else name)
            kimg, r_v = metric_series(record["ticks"], "r_v")
            below.plot(kimg, smooth_centred(r_v), **style)
    figures.mark_ideals(above, [(floor, f"floor {format_significant(floor)}", figures.BLACK)])
    below.set_ylim(-0.05, 1)
    below.set_ylabel("overfitting r_v,\nfrom 0 to 1", fontsize=12)
    figures.show_progress([above, below], every, every[0]["n_train"])
    figures.add_legend(figure, above, 0.915)
    figures.add_note(figure, "r_v: moving average")
    figures.save_figure(figure, out / "cures.png")


def ladder_table(records: Mapping[str, Sequence[Record]]) -> list[str]:
    labels = " | ".join(label for label, _ in JUDGES.values())
    lines = [f"| recipe | flags added | kimg | {labels} | class TV |", "|---" * 7 + "|"]
    for name, some in records.items():
        multiples = [spread([record["judges"][key]["multiple"] for record in some]) for key in JUDGES]
        kimg = f"{np.mean([record['nimg'] for record in some]) / 1000:,.0f}"
        flags = f"`{LADDER[name]}`" if name in LADDER else "(none)"
        lines.append(f"| {' | '.join([name, flags, kimg, *multiples, spread([one['tv'] for one in some])])} |")
    return lines


def best(record: Record) -> tuple[float, float]:
    """The lowest score during training, and its kimg."""
    kimg, scores = metric_series(record["evaluations"], SCORE)
    return float(scores.min()), float(kimg[scores.argmin()])


def last_r_v(record: Record) -> float:
    """Mean over the last 100 kimg."""
    kimg, r_v = metric_series(record["ticks"], "r_v")
    return float(r_v[kimg > kimg[-1] - 100].mean())


def cures_table(records: Mapping[str, Sequence[Record]]) -> list[str]:
    lines = [
        f"| recipe | flags added | seconds | best `{SCORE}` | at kimg | at the end | r_v at the end | `class_tv` "
        "| `closer_than_heldout` | `close_share` |",
        "|---" * 10 + "|",
    ]
    for name, some in records.items():
        columns: list[list[float]] = [
            [record["train_s"] for record in some],
            [best(record)[0] for record in some],
            [best(record)[1] for record in some],
            [record["scores"][SCORE] for record in some],
            [last_r_v(record) for record in some],
            *([record["scores"][key] for record in some] for key in ("class_tv", "closer_than_heldout", "close_share")),
        ]
        flags = f"`{CURES[name]}`" if CURES[name] else ""
        lines.append(f"| {' | '.join([name, flags, *map(spread, columns)])} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["ladder", "cures"])
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--seeds", type=int, nargs="+", help="[default: 0 1 2 for ladder, 0 for cures]")
    parser.add_argument("--time-budget", default="60s", help="time of each run of the ladder [default: 60s]")
    parser.add_argument("--epochs", type=float, default=1000, help="length of each run of cures [default: 1000]")
    parser.add_argument("--draw", action="store_true", help="draw the finished runs and train nothing")
    args = parser.parse_args()
    is_ladder = args.what == "ladder"
    runs = ladder(args.seeds or [0, 1, 2], args.time_budget) if is_ladder else cures(args.seeds or [0], args.epochs)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{args.what}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found: list[Record] = [json.loads(line) for line in lines]
    records: dict[str, list[Record]] = {}
    for run in runs:
        record = next((one for one in found if run.is_in(one)), None)
        if record is None and not args.draw:
            record = measure(args.what, run, args.out)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{run.name}, seed {run.seed}: {record['train_s']:.0f} s", file=sys.stderr)
        if record is not None:
            records.setdefault(run.name, []).append(record)
    if not records:
        sys.exit(f"error: {path} has none of these runs; omit --draw to make them")
    if is_ladder:
        draw_ladder(records, args.out, config.parse_seconds(args.time_budget))
    else:
        draw_cures(records, args.out)
    print("\n".join(ladder_table(records) if is_ladder else cures_table(records)))


if __name__ == "__main__":
    main()
