"""Measure how good presets get in a given time: gancli commands in fresh processes, scored by benchmarks/judge.py.

    python benchmarks/presets.py [--case NAME ...] [--seeds 0 1 2] --out results.jsonl
    python benchmarks/presets.py --table results.jsonl

Each case is a `gancli train` with only the data and the time given, then a `gancli sample`. Each finished run appends a
line to the file. If a case and seed occurs twice, the table uses the later run. All cases run with one seed, then with
the next, so that a busy machine affects all cases alike.
"""

import argparse
import json
import os
import shlex
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import few_digits
import judge
import torch
from runs import gancli as run_gancli
from runs import spread

import gancli
from gancli.core import devices

FEW = "few.npz"  # from few_digits.py; its samples are compared with the digits that are not in it


@dataclass(frozen=True)
class Case:
    """train: flags of gancli train, except the seed. judges: the name for load_judges."""

    train: str
    judges: str
    goal: str = ""  # in multiples of the floor, unless it says otherwise
    n: int = 10_000


CASES = {
    "mnist-60s": Case("--data mnist-5k --time-budget 60s", "mnist-5k", "1.67"),
    "mnist-5m": Case("--data mnist-5k --time-budget 5m", "mnist-5k", "1.17"),
    "mnist-unconditional": Case("--data mnist-5k --unconditional --time-budget 2m", "mnist-5k", "5"),
    # The goal is 5 times the score of all 60,000 training images. Their floor is 7/12 of the floor of 10,000.
    "fashion": Case("--data fashion-mnist --time-budget 2m", "fashion-mnist", "2.92"),
    "fashion-unconditional": Case("--data fashion-mnist --unconditional --time-budget 2m", "fashion-mnist"),
    "stacked": Case(
        "--data stacked-mnist --unconditional --time-budget 5m", "stacked-mnist", "1,000 modes, KL 0.03", n=26_000
    ),
    "few": Case(f"--data {FEW} --time-budget 5m", "mnist-5k", "half of the next row"),
    "few-no-augment": Case(f"--data {FEW} --augment none --time-budget 5m", "mnist-5k"),
    "tutorial-1s": Case("--data mnist-5k --time-budget 1s", "mnist-5k", "170, the tutorial's"),
    "tutorial-2s": Case("--data mnist-5k --time-budget 2s", "mnist-5k", "170, the tutorial's"),
    "tutorial-3s": Case("--data mnist-5k --time-budget 3s", "mnist-5k", "170, the tutorial's"),
}


def run(case: Case, seed: int) -> dict[str, Any]:
    """Train, sample and score once; returns plain values."""
    load = os.getloadavg()[0]
    command = f"gancli train {case.train} --seed {seed}"
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        rest = few_digits.write(here / FEW, 500) if FEW in case.train else None
        ended = run_gancli(*shlex.split(command)[1:], cwd=here)
        run_gancli("sample", ended["run"], "--n", case.n, "-o", "samples.npz", cwd=here)
        real = None if rest is None else judge.read_pictures(rest, 1)
        fakes = judge.read_pictures(here / "samples.npz", 3 if case.judges == judge.STACKED else 1)
    return {
        "command": command,
        "version": gancli.__version__,
        "cores": devices.count_cores(),
        "torch": torch.__version__,
        "load": load,  # load average of the machine before the run
        "kimg": ended["nimg"] / 1000,
        "train_s": ended["train_s"],
        **judge.score(judge.load_judges(case.judges, real), fakes),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with a row for each case: means over the seeds, with (least to greatest)."""
    latest = {(row["case"], row["seed"]): row for row in rows}
    by_case = defaultdict(list)
    for (case, _), row in latest.items():
        by_case[case].append(row)
    lines = [
        "| `gancli train` | seeds | kimg | seconds | ReLU | batch norm | autoencoder | TV | modes, KL (floor) | goal |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        if runs := by_case[name]:
            cells = [
                f"`{case.train}`",
                str(len(runs)),
                spread([row["kimg"] for row in runs]),
                spread([row["train_s"] for row in runs]),
                *(spread([row["judges"][each]["multiple"] for row in runs]) for each in judge.NAMES),
                spread([row["tv"] for row in runs], "{:.4f}".format),
                stacked(runs) if "kl" in runs[0] else "",
                case.goal,
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def stacked(runs: list[dict[str, Any]]) -> str:
    modes = spread([row["modes"] for row in runs], "{:,.0f}".format)
    return f"{modes}, {spread([row['kl'] for row in runs], '{:.4f}'.format)} ({runs[0]['kl_floor']:.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--out", type=Path, metavar="FILE.jsonl", help="run the cases and append the results to this file"
    )
    what.add_argument(
        "--table", type=Path, metavar="FILE.jsonl", help="print the table of these results and run nothing"
    )
    args = parser.parse_args()
    if args.table:
        print(table([json.loads(line) for line in args.table.read_text().splitlines()]))
        return
    for kind in {CASES[name].judges for name in args.case}:
        judge.load_judges(kind)  # trains them now, not between runs
    for seed in args.seeds:
        for name in args.case:
            row = {"case": name, "seed": seed, **run(CASES[name], seed)}
            with open(args.out, "a") as file:
                file.write(json.dumps(row) + "\n")
            print(table([row]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
