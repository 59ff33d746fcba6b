#!/usr/bin/env python3
"""Kill a training run at every write to disk, or fill the disk there, and check that nothing is lost.

usage: scripts/fault_injection.py [--every K] [--moments N] [--seed S] [--jobs J]

First, a small run with labels, scores and a data cache is made without a fault: the reference run. Then the run is
repeated, each time with a fault at one of the calls that change a file: open, write, the middle of a write, fsync,
rename, unlink, mkdir, rmdir (not calls on a descriptor, such as truncate). Either SIGKILL ends the process there, or
from there on every such call except removals fails with "No space left on device". Then `gancli train --resume` must
continue from the last checkpoint; if there is no run yet, the first command must start again. The result must equal the
reference run bit for bit: weights, optimisers, averaged generator, log, frames, images and film. The same holds for a
resumed run that is killed at each of its own calls, for a run that is killed while it goes back to a checkpoint because
it diverged, and for a run that is killed at random moments. --every tests only each K-th call. Prints the number of
faults of each kind, and each failure at once.

Processes are forked from one that has imported everything. SIGKILL does not lose the page cache, so it does not
simulate a power cut. The fsyncs guard against that: the script checks that they come before and after each rename.
"""

import argparse
import builtins
import contextlib
import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NO_COLOR="1", TERM="dumb", COLUMNS="100")

import numpy as np
import torch

from gancli.cli import app, datareport, render
from gancli.core.networks import tensor_file
from gancli.core.training import trial as rehearsal
from gancli.core.training.step import TrainStep
from gancli.files.run_folder import RunDir, parse_nimg, read_jsonl
from gancli.report import film, page, plots
from gancli.workflows import evaluation

TOTAL = 304  # images of the run
BACK = 32  # file calls to kill at after the run starts to go back
FULL = re.compile(
    r"error: (cannot write \S+: No space left on device|no space left in the cache folder \S+); free some"
)
IMPORTED = (datareport, render, rehearsal, film, page, plots)  # else each child would import them
RUN = Path("runs/00000-quick-pictures-npz")
TRAIN = (
    *("train", "--data", "pictures.npz", "--kimg", "0.3", "--threads", "1", "--batch-size", "8", "--seed", "3"),
    *("--batch-ramp-kimg", "0", "--g-width", "8", "--d-width", "8", "--ema-kimg", "0.1"),
    *("--snapshot-kimg", "0.1", "--eval-kimg", "0.1", "--quiet"),
)
RESUME = ("train", "--resume", str(RUN), "--quiet")
TIMES = ("train_s", "time")
Action = Callable[[str], None]


class Steps:
    """Counts the calls that change a file below a folder, and runs an action just before one of them."""

    def __init__(self, root: Path, at: int = -1, action: Action = lambda call: None) -> None:
        self.root, self.at, self.action = str(root.resolve()), at, action
        self.seen: list[str] = []
        self.n_failed = 0

    def step(self, call: str, path: Any) -> None:
        path = os.path.abspath(os.fsdecode(path))
        if path.startswith(self.root):
            self.seen.append(f"{call} {numberless(path.removeprefix(self.root))}")
            if self.at >= 0 and len(self.seen) > self.at:
                try:
                    self.action(call)
                except OSError:
                    self.n_failed += 1
                    raise

    @contextlib.contextmanager
    def interposed(self) -> Iterator[None]:
        before = {name: getattr(os, name) for name in ("replace", "rename", "unlink", "mkdir", "rmdir")}
        opened, opened_low, synced = builtins.open, os.open, os.fsync

        def watch(name: str) -> Callable[..., Any]:
            def call(first: Any, *rest: Any, **named: Any) -> Any:
                if named.get("dir_fd") is None:  # rmtree uses descriptors
                    self.step(name, first)
                return before[name](first, *rest, **named)

            return call

        def watched_open(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wax+"):
                return opened(file, mode, *rest, **named)
            self.step("open", file)
            return Written(opened(file, mode, *rest, **named), self, file)

        def watched_low(file: Any, flags: int, *rest: Any, **named: Any) -> int:
            if flags & os.O_CREAT and named.get("dir_fd") is None:
                self.step("create", file)
            return opened_low(file, flags, *rest, **named)

        def watched_fsync(descriptor: int) -> None:
            self.step("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
            synced(descriptor)

        try:
            for name in before:
                setattr(os, name, watch(name))
            os.fsync, os.open, builtins.open = watched_fsync, watched_low, watched_open  # type: ignore[assignment]
            yield
        finally:
            builtins.open, os.open, os.fsync = opened, opened_low, synced
            for name, call in before.items():
                setattr(os, name, call)


class Written:
    """A file open for writing. Each write counts as two steps: before it, and in its middle."""

    def __init__(self, file: Any, steps: Steps, path: Any) -> None:
        self.file, self.steps, self.path = file, steps, path

    def write(self, data: Any) -> int:
        self.steps.step("write", self.path)
        whole = data if isinstance(data, str) else memoryview(data).cast("B")
        half = len(whole) // 2
        self.file.write(whole[:half])
        self.file.flush()
        self.steps.step("half a write", self.path)
        self.file.write(whole[half:])
        return len(whole)

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def numberless(path: str) -> str:
    """The path of a file with its numbers replaced: 'runs/N-quick/.checkpoint-N.safetensors.partial'."""
    path = re.sub(r"\.[0-9a-f]{8}(?=\.(partial|old))", "", path)
    return re.sub(r"\d{5,}", "N", re.sub(r"[0-9a-f]{16,}", "X", path.strip("/")))


def kill(call: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_space(call: str) -> None:
    if call not in ("unlink", "rmdir"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def run(folder: Path, arguments: tuple[str, ...], at: int = -1, action: Action = kill, after_s: float = 0) -> int:
    """Run gancli in a child process in this folder. Returns its exit code, negative if a signal ended it.

    Appends its output to out.txt and writes the calls it made to steps.json. after_s: kill it after this many seconds.
    """
    if child := os.fork():
        if after_s:
            time.sleep(after_s)
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        os.chdir(folder)
        os.environ.update(HOME=str(folder), GANCLI_CACHE=str(folder / "cache"))
        output = os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv = ["gancli", *arguments]
        steps = Steps(folder, at, action)
        with steps.interposed():
            try:
                app.main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        Path("steps.json").write_text(json.dumps({"seen": steps.seen, "n_failed": steps.n_failed}))
    finally:
        os._exit(code)


def contents(folder: Path) -> dict[str, Any]:
    """Everything in the folder of a finished run, except times."""
    found: dict[str, Any] = {}
    for path in sorted((folder / RUN).rglob("*")):
        name = str(path.relative_to(folder / RUN))
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            kept = [line for line in lines if line.get("event") not in ("resume", "stopped")]
            found[name] = [{key: line[key] for key in line if key not in TIMES} for line in kept]
        elif path.name.startswith("checkpoint"):
            tensors, meta, _ = tensor_file.unpack_tensors("checkpoint", path)
            meta.pop("train_s")
            found[name] = ({key: tensor.numpy().tobytes() for key, tensor in tensors.items()}, meta)
        elif path.is_file() and path.name not in (".lock", "report.html"):  # the report shows times
            found[name] = path.read_bytes()
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def spoilt(whole: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Copies with one file missing, or changed in its last byte, tensor or value."""
    for name, content in whole.items():
        yield name, {key: value for key, value in whole.items() if key != name}
        if isinstance(content, bytes):
            other: Any = content[:-1] + bytes([content[-1] ^ 1])
        elif isinstance(content, list):
            other = [*content[:-1], {**content[-1], "nimg": content[-1]["nimg"] + 1}]
        else:
            tensors, meta = content
            last = max(tensors)
            other = {**tensors, last: tensors[last][:-1] + bytes([tensors[last][-1] ^ 1])}, meta
        yield name, {**whole, name: other}


def out_of_order(steps: list[str]) -> list[str]:
    """Renames that a power cut could undo or empty.

    These are renames of a file that was not synced after its last write, renames that no sync of the folder follows,
    and renames of a checkpoint before its log was synced.
    """
    found, unsynced = list[str](), set[str]()
    for at, (call, _, path) in enumerate(step.partition(" ") for step in steps):
        if call in ("write", "open", "create"):
            unsynced.add(path)
        elif call == "fsync":
            unsynced.discard(path)
        elif call == "replace":
            folder, later = path.rpartition("/")[0], iter(steps[at + 1 :])
            synced = itertools.takewhile(lambda step: not step.startswith(("write", "open")), later)
            if path in unsynced or f"fsync {folder}" not in synced:
                found.append(f"step {at}, {steps[at]}: not synced")
            if "checkpoint" in path and f"{folder}/metrics.jsonl" in unsynced:
                found.append(f"step {at}, {steps[at]}: before the log")
    return found


class Trial:
    """Trials in one folder, which starts with the same images each time. whole: the result of the reference run."""

    def __init__(self, root: Path) -> None:
        self.folder, self.failures = root / "folder", list[str]()
        draws = np.random.default_rng(0)
        self.pictures = {
            "images": draws.integers(0, 256, (40, 8, 8), dtype=np.uint8),
            "labels": np.arange(40) % 2,
        }
        folder = self.fresh()
        assert run(folder, TRAIN) == 0, (folder / "out.txt").read_text()
        self.steps: list[str] = self.told("seen")
        self.whole = contents(folder)
        assert len(self.whole) > 10, "there is nothing to compare"
        for name, other in spoilt(self.whole):
            assert differences(self.whole, other) == [name], f"a changed {name} is not noticed"
        for failure in out_of_order(self.steps):
            self.failed(failure)

    def told(self, name: str) -> Any:
        """This value from the steps.json of the last command that was not killed."""
        return json.loads((self.folder / "steps.json").read_text())[name]

    def fresh(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        np.savez(self.folder / "pictures.npz", **self.pictures)
        return self.folder

    def failed(self, failure: str) -> None:
        print(failure, file=sys.stderr, flush=True)
        self.failures.append(failure)

    def go_on(self, folder: Path, what: str, at: int = -1) -> None:
        """Resume as a user would; report each difference from the reference run. at: step of the fault, if known."""
        has_run = (folder / RUN / "config.json").is_file()
        if at >= 0 and has_run != any(step.startswith("replace") and "config" in step for step in self.steps[:at]):
            self.failed(f"{what}: there is {'a' if has_run else 'no'} config.json")
        if not has_run and (folder / RUN).exists():  # not a run yet, but the folder takes its number
            os.rename(folder / RUN, folder / "stillborn")
        last = max((parse_nimg(path) for path in RunDir(folder / RUN).checkpoints()), default=0) if has_run else None
        code = run(folder, RESUME if has_run else TRAIN)
        found = differences(contents(folder), self.whole) if code == 0 else [(folder / "out.txt").read_text()[-500:]]
        if found:
            self.failed(f"{what}: exit code {code}; differs: {', '.join(found)}")
        if code == 0 and last is not None and last < TOTAL:
            told = [line["nimg"] for line in read_jsonl(folder / RUN / "events.jsonl") if line["event"] == "resume"]
            if told[-1:] not in ([last], [] if last == 0 else [last]):
                self.failed(f"{what}: resumed from {told[-1:]} instead of {last}")

    def killed(self, at: int) -> None:
        folder, what = self.fresh(), f"killed at step {at}, {self.steps[at]}"
        if (code := run(folder, TRAIN, at)) != -signal.SIGKILL:
            self.failed(f"{what}: exit code {code}")
        self.go_on(folder, what, at)

    def filled(self, at: int) -> None:
        """The disk is full from this step on, until the command ends."""
        folder, what = self.fresh(), f"disk full at step {at}, {self.steps[at]}"
        code = run(folder, TRAIN, at, no_space)
        said = (folder / "out.txt").read_text()
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        is_told = code == 1 and len(errors) == 1 and FULL.match(errors[0])
        n_failed = self.told("n_failed")
        is_removal = self.steps[at].startswith(("unlink", "rmdir"))
        if "Traceback" in said or not (is_told or (code == 0 and is_removal)):
            self.failed(f"{what}: exit code {code}; {said[-500:]}")
        if not n_failed and not is_removal:
            self.failed(f"{what}: no call failed")
        self.go_on(folder, what)

    def killed_twice(self, first: int, at: int) -> bool:
        """Kill the run at one step and the resumed run at another; False if the resumed run ended before that step."""
        folder, what = self.fresh(), f"killed at step {first}, {self.steps[first]}, and at step {at} of the resumed run"
        run(folder, TRAIN, first)
        code = run(folder, RESUME, at)
        self.go_on(folder, what)
        return self.was_killed(code, what)

    def killed_after(self, seconds: float) -> bool:
        folder = self.fresh()
        code, what = run(folder, TRAIN, after_s=seconds), f"killed after {seconds:.3f} s"
        self.go_on(folder, what)
        return self.was_killed(code, what)

    def was_killed(self, code: int, what: str) -> bool:
        """Whether SIGKILL ended the run, not its own end. Any other exit code is a failure."""
        if code not in (0, -signal.SIGKILL):
            self.failed(f"{what}: exit code {code}")
        return code == -signal.SIGKILL


def tried(args: argparse.Namespace, job: int) -> dict[str, Any]:
    """Run this job's share of the trials; returns the number of each kind, and the failures."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        points = range(len(trial.steps) - 1, -1, -args.every)[job :: args.jobs]
        if job == 0:
            print(f"{len(trial.steps)} steps of {len({*trial.steps})} kinds", flush=True)
        for at in points:
            trial.killed(at)
        for at in points:
            trial.filled(at)
        first = max(at for at, step in enumerate(trial.steps) if step.startswith("write") and "metrics" in step)
        resumed = itertools.count(job * args.every, args.jobs * args.every)
        again = sum(1 for _ in itertools.takewhile(lambda at: trial.killed_twice(first, at), resumed))
        started = time.monotonic()
        run(trial.fresh(), TRAIN)
        longest, draws = time.monotonic() - started, random.Random(args.seed)
        moments = [draws.uniform(0, longest) for _ in range(args.moments)][job :: args.jobs]
        hit = sum(trial.killed_after(moment) for moment in moments)
        with spoiled():
            back = Trial(Path(folder))
            assert any(line.get("name") == "diverged" for line in back.whole["events.jsonl"])
            begun = next(at for at, step in enumerate(back.steps) if "metrics.jsonl.partial" in step)
            while_back = range(begun, begun + BACK, args.every)[job :: args.jobs]
            for at in while_back:
                back.killed(at)
    counts = {"killed": len(points), "filled": len(points), "again": again, "back": len(while_back), "moments": hit}
    return {**counts, "failures": trial.failures + back.failures}


@contextlib.contextmanager
def spoiled() -> Iterator[None]:
    """Make each run diverge once, so that it goes back to its last checkpoint."""
    step = TrainStep.step

    def spoiling(self: TrainStep, *arguments: Any) -> None:
        step(self, *arguments)
        if self.nimg == 160 and self.lr_factor == 1:
            with torch.no_grad():
                next(self.G.parameters()).fill_(float("nan"))

    TrainStep.step = spoiling  # type: ignore[method-assign]
    try:
        yield
    finally:
        TrainStep.step = step  # type: ignore[method-assign]


def forked(args: argparse.Namespace, job: int, told: Path) -> int:
    """Run `tried` in a child process, which writes its result to a file. Returns the process id."""
    if child := os.fork():
        return child
    try:
        told.write_text(json.dumps(tried(args, job)))
    finally:
        os._exit(0 if told.exists() else 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--every", type=int, default=1, metavar="K", help="test only each K-th call [default: 1]")
    parser.add_argument("--moments", type=int, default=100, help="number of kills at random moments [default: 100]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments [default: 0]")
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes [default: 1]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    evaluation.SCORER_N_FAKES = 100
    with tempfile.TemporaryDirectory() as folder:
        told = [Path(folder) / str(job) for job in range(args.jobs)]
        children = [forked(args, job, path) for job, path in enumerate(told)]
        if any([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]):
            return 1
        found = [json.loads(path.read_text()) for path in told]
    total = {name: sum(one[name] for one in found) for name in ("killed", "filled", "again", "back", "moments")}
    failures = [failure for one in found for failure in one["failures"]]
    killed, filled, again, back, moments = total.values()
    text = f"killed at {killed} steps, disk full at {filled}, killed again at {again} steps of the resumed run,"
    print(f"{text} killed at {back} steps of going back, and at {moments} random moments: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
