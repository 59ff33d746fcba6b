"""Compare the ways in which idle OpenMP threads wait: images/s of training steps, alone and beside other work.

    python benchmarks/idle_threads.py [--preset classic] [--batch 100] [--rounds 3] [--seconds 2]

Each rate is measured in a fresh process on random pixels, because OpenMP reads its variables once. `one core busy`: a
process without pause is bound to one core. `two runs`: the sum of two processes that run at the same time. `one core`:
two threads that are bound to one core. Prints medians with their spread, and the ratio to one thread.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

from runs import in_turn, median, table
from workload import engine_of, noise

from gancli.openmp import SLEEP, WAITING

ONE_THREAD = "one thread"
POLICIES: dict[str, dict[str, str]] = {
    "sleep (gancli)": SLEEP,
    "spin 300": {**SLEEP, "GOMP_SPINCOUNT": "300"},
    "spin 1000": {**SLEEP, "GOMP_SPINCOUNT": "1000"},
    "spin 10000": {**SLEEP, "GOMP_SPINCOUNT": "10000"},
    "OpenMP's default": {"KMP_BLOCKTIME": "200"},  # the default of Intel's runtime; GNU's ignores it
    "ACTIVE": {"OMP_WAIT_POLICY": "ACTIVE"},
    ONE_THREAD: SLEEP,
}
SITUATIONS = ("alone", "one core busy", "two runs", "one core")
N_IMAGES, WARM_STEPS = 5000, 20
BUSY = "import os\nos.sched_setaffinity(0, {0})\nwhile True: pass"


def measure_here(preset: str, batch: int, threads: int, seconds: float) -> float:
    """Return images/s of training steps in this process."""
    n_classes = 0 if preset == "classic" else 10
    engine = engine_of(preset, noise(N_IMAGES, n_classes=n_classes), {"threads": threads, "kimg": 1000})
    for _ in range(WARM_STEPS):
        engine.step(batch)
    steps, started = 0, time.perf_counter()
    while (spent_s := time.perf_counter() - started) < seconds:
        engine.step(batch)
        steps += 1
    return steps * batch / spent_s


@contextlib.contextmanager
def busy_core(is_wanted: bool) -> Iterator[None]:
    """Keep core 0 busy inside the with block."""
    process = subprocess.Popen([sys.executable, "-c", BUSY]) if is_wanted else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def measure(policy: str, situation: str, args: argparse.Namespace) -> float:
    """Return images/s in a fresh process, or the sum of two for `two runs`."""
    threads = 1 if policy == ONE_THREAD else args.threads
    environment = {name: value for name, value in os.environ.items() if name not in WAITING} | POLICIES[policy]
    command = [sys.executable, __file__, "--here", str(threads), "--preset", args.preset]
    command += ["--batch", str(args.batch), "--seconds", str(args.seconds)]
    command = ["taskset", "-c", "0", *command] if situation == "one core" else command
    with busy_core(situation == "one core busy"):
        started = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(2 if situation == "two runs" else 1)
        ]
        return sum(float(process.communicate()[0]) for process in started)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="classic")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--situations", nargs="+", choices=SITUATIONS, default=SITUATIONS)
    parser.add_argument("--here", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(measure_here(args.preset, args.batch, args.here, args.seconds))
        return
    columns = {
        situation: in_turn(
            {policy: lambda _, p=policy, s=situation: measure(p, s, args) for policy in POLICIES}, args.rounds
        )
        for situation in args.situations
    }
    rows = []
    for policy in POLICIES:
        cells = []
        for rates in columns.values():
            ratio = statistics.median(rates[policy]) / statistics.median(rates[ONE_THREAD])
            cells.append(f"{median(rates[policy])}, {ratio:.2f}")
        rows.append([policy, *cells])
    print(table([f"`{args.preset}`, {args.threads} threads", *columns], rows))


if __name__ == "__main__":
    main()
