"""Handle the processes that torchrun starts for one command: the first decides and prints, the others follow."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gancli import platform
from gancli.errors import RunError
from gancli.files.run_folder import RunDir, list_runs

if TYPE_CHECKING:
    from gancli.core.distributed import World

UNNAMED_JOB = "none"  # torchrun's name for a job without --rdzv-id


@contextlib.contextmanager
def join_processes() -> Iterator["World | None"]:
    """Yield the group of processes, or None if there is only one. If several fail, only one prints the reason."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or "RANK" not in os.environ:
        yield None
        return
    from gancli.core import distributed

    world = distributed.join_world()
    try:
        yield world
        distributed.leave_world(world)
    except typer.Exit:
        distributed.leave_world(world)
        raise
    except BaseException as err:
        if world.claim_error_report() or not isinstance(err, Exception):
            raise
        raise typer.Exit(getattr(err, "exit_code", 1)) from err


def follow_first_process(world: "World") -> None:
    """Run a process that is not the first one. It ignores signals: the first process handles them for all."""
    for number in platform.STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    from gancli.workflows import followers

    followers.follow_orders(world)


def is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def is_under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def torchrun_job_id() -> str | None:
    """Return an identifier of this process's torchrun job; it stays the same across restarts.

    On one machine it contains torchrun's process ID; on several it is the --rdzv-id, or None without one.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is not None and os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        return f"{name} {socket.gethostname()} {os.getppid()}"
    return None if name == UNNAMED_JOB else name


def find_interrupted_run(outdir: Path) -> RunDir | None:
    """Find the run that this job started before torchrun restarted its processes; None if there is none."""
    job = torchrun_job_id()
    if job is None or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return None
    for run in list_runs(outdir):
        with contextlib.suppress(RunError):
            if run.read_config().get("job") == job:
                return run
    return None
