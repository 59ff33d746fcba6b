"""Measure whole commands: seconds, CPU time and memory of fresh processes, interleaved.

    python benchmarks/whole_commands.py [--rounds 7] [--data mnist-5k] [--n 10000]

Start-up is timed until the moment named, where the process ends: `import torch`; `import torch` and loading the data by
gancli's `load_dataset`; the first step of `gancli train`. Without --quiet, train runs trial steps for about a second
before it makes a run, so the table lists the first trial step and the first step of the run. `gancli sample` and
`gancli evaluate` use the model of a short run of each preset. Each command runs once before it is measured, to fill the
cache. Memory is the peak of the whole process. Ratios are to the second row, `import torch` with the data loaded.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from runs import Spent, fresh, gancli, in_turn, median, table

Commands = dict[str, tuple[object, ...]]  # row of the table -> arguments of Python

PRESETS = ("classic", "quick")
LOADED, FIRST = "`import torch`, and the data loaded", "first step of the run"
ADAM = "import torch; torch.optim.Adam(torch.nn.Linear(1, 1).parameters())"  # here torch imports its compiler
END = "import os; os._exit(0)"
# Ends the process when this method is called. Importing it first only changes the order of the command's imports.
UNTIL = f"""
def end(*_):
    {END}
from gancli.__main__ import main
from gancli.core.training.{{0}} import {{1}}
{{1}}.{{2}} = end
main()
"""
UNTIL_A_STEP = UNTIL.format("step", "TrainStep", "step")
UNTIL_ONE_OF_THE_RUN = UNTIL.format("trainer", "Trainer", "train_until_end")


def starts(data: str, folder: Path) -> Commands:
    train = ("train", "--data", data, "--outdir", folder)
    return {
        "`import torch`": ("-c", f"import torch; {END}"),
        LOADED: ("-c", f"import torch; from gancli.core.data import load; load.load_dataset({data!r}); {END}"),
        "`import torch`, and torch's Adam made": ("-c", f"{ADAM}; {END}"),
        "`gancli --help`": ("-m", "gancli", "--help"),
        "`gancli train`, first trial step": ("-c", UNTIL_A_STEP, *train),
        f"`gancli train`, {FIRST}": ("-c", UNTIL_ONE_OF_THE_RUN, *train),
        f"`gancli train --quiet`, {FIRST}": ("-c", UNTIL_ONE_OF_THE_RUN, *train, "--quiet"),
    }


def uses(preset: str, model: Path, n: int, folder: Path) -> Commands:
    def command(name: str, output: str) -> tuple[object, ...]:
        return "-m", "gancli", name, model, "--n", n, "--force", "-o", folder / output

    return {
        f"`gancli sample`, `{preset}`, {n:,} into an npz": command("sample", f"{preset}.npz"),
        f"`gancli evaluate`, `{preset}`, {n:,}": command("evaluate", preset),
    }


def measure(commands: Commands, rounds: int) -> dict[str, list[Spent]]:
    """Measure all commands, interleaved, after an uncounted round."""
    works = {name: lambda _, command=command: fresh(*command) for name, command in commands.items()}
    in_turn(works, 1)
    return in_turn(works, rounds)


def rows(found: dict[str, list[Spent]]) -> list[list[str]]:
    """Rows of the table, with ratios within each round."""

    def cells(name: str, some: list[Spent]) -> list[str]:
        pairs = list(zip(some, found[LOADED], strict=True))
        return [
            name,
            median([one.wall_s for one in some]),
            median([one.cpu_s for one in some]),
            f"{statistics.median(one.memory_mib for one in some):,.0f}",
            median([one.wall_s / base.wall_s for one, base in pairs]),
            median([one.cpu_s / base.cpu_s for one, base in pairs]),
        ]

    return [cells(name, some) for name, some in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--n", type=int, default=10_000, help="images to make and to score [default: 10000]")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = starts(args.data, folder)
        for preset in PRESETS:
            flags = ("--data", args.data, "--preset", preset, "--kimg", 1, "--eval-kimg", 0, "--outdir", folder)
            commands |= uses(preset, gancli("train", *flags)["run"], args.n, folder)
        found = measure(commands, args.rounds)
    head = ["process", "seconds", "CPU seconds", "MiB", "ratio by the clock", "by CPU time"]
    print(table(head, rows(found)))


if __name__ == "__main__":
    main()
