"""Several processes that run one command, as torchrun starts them: the first does and says all, the others help it."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gancli.errors import RunError
from gancli.files.run_folder import RunDir, list_runs

if TYPE_CHECKING:
    from gancli.core.distributed import World

UNNAMED_JOB = "none"  # what torchrun calls a job that got no --rdzv-id
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def join_processes() -> Iterator["World | None"]:
    """The other processes, if there are any, for as long as the block runs. Of all that fail, one says why."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or "RANK" not in os.environ:
        yield None
        return
    from gancli.core import distributed

    world = distributed.join_world()
    try:
        yield world
        world.tell(distributed.EndOrder())
    except typer.Exit:
        world.tell(distributed.EndOrder())
        raise
    except BaseException as err:
        if world.claim_error_report() or not isinstance(err, Exception):
            raise
        raise typer.Exit(getattr(err, "exit_code", 1)) from err


def follow_first_process(world: "World") -> None:
    """What to do in all but the first process. That one also decides what becomes of a signal."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    from gancli.workflows import followers

    followers.follow_orders(world)


def is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def is_under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def torchrun_job_id() -> str | None:
    """What tells the job of torchrun that this process belongs to from others; the same after a restart.

    On one machine torchrun's own process does, on several the name that the job was given, if it was.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is not None and os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        return f"{name} {socket.gethostname()} {os.getppid()}"
    return None if name == UNNAMED_JOB else name


def find_interrupted_run(outdir: Path) -> RunDir | None:
    """The run that this job began before torchrun started its processes again; None if it did not, or had none yet."""
    job = torchrun_job_id()
    if job is None or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return None
    for run in list_runs(outdir):
        with contextlib.suppress(RunError):
            if run.read_config().get("job") == job:
                return run
    return None
