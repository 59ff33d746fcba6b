"""Run the parts of the check, each in its own process with a time limit, and write the results."""

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu import rows
from benchmarks.gpu.rows import Row

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "gpu_check"
NEEDED = ("torch", "numpy", "msgspec", "safetensors", "PIL", "imageio")  # imported by the training code
MOST_S = 470.0  # for all parts together
INTERRUPTED = 130
END = "end"  # the last line of a part's file


class Part(NamedTuple):
    name: str
    limit_s: float


PARTS = (  # the limits are loose; MOST_S bounds their sum
    Part("machine", 40),
    Part("equality", 90),
    Part("resume", 60),
    Part("speed quick", 50),
    Part("speed r3gan-32", 80),
    Part("speed r3gan-64", 80),
    Part("speed r3gan-128", 90),
    Part("precision", 70),
    Part("waits", 80),
    Part("tests", 80),
    Part("graphs", 90),
)


def main(usage: str, arguments: Sequence[str]) -> int:
    """Parse the arguments, run the parts and write the table. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="gpu_check", description=usage, usage=argparse.SUPPRESS, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    parser.add_argument("-o", metavar="FOLDER", type=Path, default=Path("gpu_check"))
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS], metavar="NAME")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)  # of a child process: where to put its rows
    args = parser.parse_args(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"error: gpu_check needs {', '.join(missing)}; run pip install -e {ROOT}", file=sys.stderr)
        return 1
    if args.rows:
        run_here(args.parts[0], args.device, args.rows)
        return 0
    from gancli.core import devices
    from gancli.errors import ConfigError

    try:
        device = devices.resolve_device(args.device).type
        args.o.mkdir(parents=True, exist_ok=True)
    except ConfigError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except OSError as err:
        print(f"error: cannot make the folder {args.o}: {err.strerror}; choose another with -o", file=sys.stderr)
        return 1
    return check(device, args.parts or [part.name for part in PARTS], args.o)


def check(device: str, names: Sequence[str], folder: Path) -> int:
    """Run the named parts, write the files, and print the table. Returns the exit code."""
    found, started, is_interrupted = list[Row](), time.monotonic(), False
    for part in PARTS:
        if part.name not in names:
            continue
        left_s = MOST_S - (time.monotonic() - started)
        limit_s = min(part.limit_s, left_s)
        print(f"{part.name} ...", file=sys.stderr, flush=True)
        try:
            found += run_part(part.name, device, limit_s)
        except KeyboardInterrupt:
            found.append(rows.failed(part.name, "interrupted"))
            is_interrupted = True
            break
    write(device, found, time.monotonic() - started, folder)
    return INTERRUPTED if is_interrupted else rows.exit_code(found)


def write(device: str, found: Sequence[Row], took_s: float, folder: Path) -> None:
    """Write gpu_check.md and gpu_check.json, and print the table."""
    texts = [f"`scripts/gpu_check --device {device}`, {took_s:.0f} s: {rows.describe_counts(found)}."]
    if device != "cuda":
        what = "Small networks stand in for the large ones" if device == "cpu" else "Large networks were narrowed"
        texts.append(f"**No CUDA GPU was used.** {what}: these numbers say nothing about the speed of a GPU.")
    page = rows.format_markdown("GPU check", texts, found)
    values = rows.format_json({"device": device, "took_s": round(took_s, 1)}, found)
    for name, text in (("gpu_check.md", page), ("gpu_check.json", values)):
        partial = folder / f".{name}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, folder / name)
    print(page)
    print(f"written: {folder / 'gpu_check.md'}, {folder / 'gpu_check.json'}", file=sys.stderr)


def run_part(name: str, device: str, limit_s: float, script: Path = SCRIPT) -> list[Row]:
    """Run a part in its own process. Returns its rows, and a failed row if it crashes or takes too long."""
    if limit_s < 1:
        return [rows.failed(name, f"no time left of {MOST_S:.0f} s; run it alone with --parts '{name}'")]
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "rows", Path(folder) / "errors"
        command = [sys.executable, str(script), "--device", device, "--rows", str(output), "--parts", name]
        env = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # lets matrix products be deterministic
        env = {"OMP_WAIT_POLICY": "PASSIVE", "PYTORCH_ENABLE_MPS_FALLBACK": "1", **env}  # as the command sets them
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])])
        env["TORCHINDUCTOR_CACHE_DIR"] = folder
        with errors.open("w") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=os.name == "posix"
            )
            try:
                code: int | None = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                kill_group(process)
        text = output.read_text(encoding="utf-8") if output.exists() else ""
        lines = text.split("\n")[:-1]  # the last line may be incomplete
        found = [rows.parse_line(line) for line in lines if line != END]
        if lines[-1:] == [END]:
            return found
        if code is None:
            return [*found, rows.failed(name, f"stopped after its time limit of {limit_s:.0f} s")]
        if code:
            said = errors.read_text(errors="replace").strip().splitlines() or ["no message"]
            return [*found, rows.failed(name, f"exit code {code}: {said[-1]}")]
        return [*found, rows.failed(name, "it ended before its last row")]


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and the processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def run_here(name: str, device: str, output: Path) -> None:
    """Run a part in this process. Each row goes to the file as soon as it is known."""
    with output.open("a", encoding="utf-8") as file:

        def put(row: Row) -> None:
            file.write(rows.format_line(row) + "\n")
            file.flush()

        try:
            from benchmarks.gpu import parts

            parts.run(name, device, put)
        except Exception as err:
            put(rows.failed(name, describe_error(err)))
        file.write(f"{END}\n")


def describe_error(err: Exception) -> str:
    """Describe an error in one line, with the place in this checkout where it arose."""
    own = [frame for frame in traceback.extract_tb(err.__traceback__) if frame.filename.startswith(str(ROOT))]
    where = f" ({Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno})" if own else ""
    text = " ".join(str(err).split())
    return f"{type(err).__name__}: {text[:200]}{'...' if len(text) > 200 else ''}{where}"
