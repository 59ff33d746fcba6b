"""gancli as two processes, as torchrun starts them, with a fault in one of them: see test_processes.py.

usage: FAULTS="START WHAT RANK NIMG[, ...]" faulty.py RESTARTS ARGUMENTS

START: number of restarts before the fault; WHAT: die, raise, nan, differ or stop. They are forked from one
that has imported everything, which takes a third of the time of torchrun.
"""

import os
import signal
import sys

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from gancli.__main__ import main
from gancli.cli import datareport, render
from gancli.core.training import trainer
from gancli.core.training.engine import Engine
from gancli.errors import DataError
from gancli.report import film, plots
from gancli.workflows import evaluation, followers

IMPORTED = (datareport, render, trainer, followers, film, plots)  # what the commands would import
faults = [tuple(fault.split()) for fault in os.environ["FAULTS"].split(",") if fault]
step = Engine.step


def faulty(self: Engine, batch_size: int | None = None) -> None:
    start = os.environ["TORCHELASTIC_RESTART_COUNT"]
    for fault in list(faults):
        if fault[0] == start and fault[2:] == (str(self.world.rank), str(self.state.nimg)):
            faults.remove(fault)
            go_wrong(self, fault[1])
    step(self, batch_size)


def go_wrong(engine: Engine, what: str) -> None:
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "raise":
        raise DataError("the disk with the images is gone")
    elif what == "stop":
        os.kill(os.getppid(), signal.SIGTERM)
    else:
        with torch.no_grad():
            next(engine.state.G.parameters()).mul_(float("nan") if what == "nan" else 2)


def command(*arguments: str) -> None:
    sys.argv = ["gancli", *arguments]
    main()


if __name__ == "__main__":
    evaluation.SCORER_N_FAKES = 100
    Engine.step = faulty  # type: ignore[method-assign]
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=int(sys.argv[1]),
        monitor_interval=0.1,
        start_method="fork",
    )
    try:
        elastic_launch(config, command)(*sys.argv[2:])
    except ChildFailedError:
        sys.exit(1)
