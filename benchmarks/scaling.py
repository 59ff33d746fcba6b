"""Measure messages between the processes of a run, their time, and the speed-up; estimate it for many GPUs.

    python benchmarks/scaling.py [--presets quick classic r3gan-32] [--rounds 3] [--steps 20] [--width 64] [--batch 32]
    python benchmarks/scaling.py --estimate

Measures, interleaved, on one machine with one thread each: one process, two processes that share the batch, and two
with twice the batch; also one process with two threads. r3gan-* get --width channels and --batch images. The time of
messages includes waiting for the other process. --estimate counts the operations and bytes of the full networks, and
estimates their steps on many GPUs from the figures above `GPUS`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import gancli  # noqa: F401  # before torch: it sets how idle threads wait

# isort: split

import torch
from runs import fresh, in_turn, median, table
from torch.utils._python_dispatch import TorchDispatchMode
from workload import flops, noise, record_of

from gancli import presets
from gancli.config import ModelSpec
from gancli.core import distributed
from gancli.core.distributed import World
from gancli.core.training.adam import Adam
from gancli.core.training.engine import Engine
from gancli.core.training.step import TrainStep

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


class Case(NamedTuple):
    processes: int
    threads: int
    batches: int  # batch size, in multiples of the preset's


CASES = {
    "1 process": Case(1, 1, 1),
    "1 process, 2 threads": Case(1, 2, 1),
    "2 processes": Case(2, 1, 1),
    "2 processes, twice the batch": Case(2, 1, 2),
}


class Gpus(NamedTuple):
    """n GPUs. bytes_per_s: each way, for each GPU."""

    n: int
    bytes_per_s: float


# NVIDIA's H100 SXM: NVLink 450 GB/s each way, InfiniBand NDR 50 GB/s, memory 3.35 TB/s. Of its 989 TFLOP/s in bfloat16
# and 494 in TF32, we assume that a quarter is reached. LAUNCH_S, the host's time for an operation, is assumed too.
GPUS = (Gpus(1, 1.0), Gpus(8, 450e9), Gpus(64, 50e9))
BF16, TF32, MEMORY, LAUNCH_S = 247e12, 124e12, 3.35e12, 5e-6
PASSES = 12  # over all weights: Adam, EMA, and copying gradients into a message and back


class Step(NamedTuple):
    """The mean step of a preset at full size.

    d_flops, g_flops: operations per image in D's step (float32, as every step has R2) and in the rest. launches: number
    of operations. n_bytes: size of the gradients. batch: images.
    """

    d_flops: float
    g_flops: float
    launches: int
    n_bytes: float
    batch: int


class Launches(TorchDispatchMode):
    """Counts operations other than views."""

    n = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.n += not func.is_view
        return func(*args, **(kwargs or {}))


def work(preset: str, threads: int, batch: int, width: int, steps: int) -> dict[str, float]:
    """Train in this process, alone or under torchrun; returns seconds, seconds of messages and bytes of a step."""
    here = distributed.join_world() if "RANK" in os.environ else distributed.ALONE
    flags = {"threads": threads, "batch_size": batch, "batch_ramp_kimg": 0, "kimg": 1000}
    if width:
        flags |= {"g_width": width, "d_width": width}
    resolution, channels = (32, 3) if width else (28, 1)
    torch.manual_seed(0)
    data = noise(5000, resolution, channels, 10)
    if here.rank:
        here.receive_order()  # the order to start training
    engine = Engine(record_of(preset, data, flags), data, here)
    spent_s, sent = [0.0], [0]
    for name in ("tell", "receive_order", "average"):
        setattr(World, name, timed(getattr(World, name), spent_s, sent))
    engine.send_state() if here.rank == 0 else engine.execute_order(*here.receive_order())
    for number in range(steps + 4):
        if number == 4:  # warmed up: every kind of step has run once
            spent_s[0], sent[0], started = 0.0, 0, time.perf_counter()
        engine.step() if here.rank == 0 else engine.execute_order(*here.receive_order())
    step_s = (time.perf_counter() - started) / steps
    return {"step_s": step_s, "talk_s": spent_s[0] / steps, "bytes": sent[0] / steps, "images": batch}


def timed(function: Callable[..., Any], spent_s: list[float], sent: list[int]) -> Callable[..., Any]:
    def call(self: World, *arguments: Any) -> Any:
        if arguments and isinstance(arguments[0], list) and self.size > 1:
            sent[0] += sum(tensor.nbytes for tensor in arguments[0])
        started = time.perf_counter()
        found = function(self, *arguments)
        spent_s[0] += time.perf_counter() - started
        return found

    return call


def measured(preset: str, case: Case, width: int, batch: int, steps: int) -> dict[str, float]:
    arguments = ["--work", preset, case.threads, batch * case.batches, width, steps]
    launcher = TORCHRUN if case.processes > 1 else ()
    found: dict[str, float] = json.loads(fresh(*launcher, __file__, *arguments).output)
    return found


def measure(preset: str, args: argparse.Namespace) -> str:
    is_large = presets.PRESETS[preset].model == "resnet"
    width, batch = (args.width, args.batch) if is_large else (0, presets.PRESETS[preset].batch_size)
    works = {
        name: lambda _, case=case: measured(preset, case, width, batch, args.steps) for name, case in CASES.items()
    }
    found = in_turn(works, args.rounds)
    alone = [one["images"] / one["step_s"] for one in found["1 process"]]
    rows = []
    for name, some in found.items():
        rates = [one["images"] / one["step_s"] for one in some]
        ratios = [rate / first for rate, first in zip(rates, alone, strict=True)]
        shares = [100 * one["talk_s"] / one["step_s"] for one in some]
        size, mib = f"{some[0]['images']:g}", f"{some[0]['bytes'] / 2**20:.2f}"
        rows.append([f"`{preset}`, {name}", size, median(rates), median(ratios), mib, median(shares)])
    head = ["", "batch", "images/s", "times 1 process", "MiB averaged per step", "% of the time in messages"]
    return table(head, rows)


def step_of(preset: str) -> Step:
    _, config, _ = presets.resolve_config(preset)
    resolution, n = presets.PRESETS[preset].resolution, 2
    shape = {"resolution": resolution, "channels": 3, "n_classes": 10 if resolution == 32 else 0}
    spec = ModelSpec(model=config.model, z_dim=config.z_dim, g_width=config.g_width, d_width=config.d_width, **shape)
    state = TrainStep(config, spec, torch.device("meta"))
    real = torch.zeros(n, 3, resolution, resolution, dtype=torch.uint8, device="meta")
    labels = torch.zeros(n, dtype=torch.int64, device="meta") if spec.n_classes else None
    in_d, d_step = list[int](), state.d_step

    def counted(*arguments: Any) -> Any:
        found: list[Any] = []
        in_d.append(flops(lambda: found.append(d_step(*arguments))))
        return found[0]

    with mock.patch.object(Adam, "step"), Launches() as launches:  # fused Adam is a single launch
        whole = flops(lambda: state.step(real, labels, 0.0, 0.0))
    with mock.patch.object(state, "d_step", counted):
        state.step(real, labels, 0.0, 0.0)
    n_weights = sum(weight.numel() for net in (state.G, state.D) for weight in net.parameters())
    return Step(in_d[0] / n, (whole - in_d[0]) / n, launches.n, 4.0 * n_weights, config.batch_size)


def estimate(names: list[str]) -> str:
    """Estimate steps with --precision bf16.

    A ring all-reduce sends and receives 2 (n-1)/n times the bytes. It starts when all gradients are ready.
    """
    rows = []
    for name in names:
        step = step_of(name)
        for gpus in GPUS:
            multiply_s = (step.d_flops / TF32 + step.g_flops / BF16) * step.batch / gpus.n
            launch_s = step.launches * LAUNCH_S
            weights_s = PASSES * step.n_bytes / MEMORY
            talk_s = 2 * (gpus.n - 1) / gpus.n * step.n_bytes / gpus.bytes_per_s
            step_s = max(multiply_s, launch_s) + weights_s + talk_s
            parts = [f"{1000 * part:.1f}" for part in (multiply_s, launch_s, weights_s, talk_s)]
            rows.append([f"`{name}`", str(gpus.n), str(step.batch // gpus.n), *parts, f"{step.batch / step_s:,.0f}"])
    head = ["preset", "GPUs", "images each", "products, ms", "launches, ms", "weights, ms", "averaging, ms", "images/s"]
    return table(head, rows)


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        preset, *numbers = sys.argv[2:]
        found = work(preset, *map(int, numbers))
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(found), flush=True)
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["classic", "quick", "r3gan-32"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--estimate", action="store_true")
    args = parser.parse_args()
    if args.estimate:
        print(estimate([name for name in presets.PRESETS if name.startswith("r3gan")]))
        return
    for preset in args.presets:
        print(measure(preset, args), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
