"""Picture files decoded by several processes, in order. Needs no torch, so that a process starts fast.

A process is `python -m gancli.core.data.decode_workers`. It reads lines of JSON: first what to read and what is
wanted, then lists of names. It answers each list with a line of JSON, then the pixels. Unlike those of
multiprocessing, it does not import the program that asked for it, and unpickles nothing.
"""

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from gancli.core.data import archive, fast_png, listing, resize
from gancli.core.data.decode import ImageHeader
from gancli.core.data.resize import Transform
from gancli.errors import DataError

PIPE_BYTES = 1 << 20  # where the system allows it, so that an answer need not wait for its reader
TASKS_AHEAD = 2  # tasks that a process has been given


@dataclass(frozen=True, eq=False)
class DecodedBlock:
    """What `n` files in a row became: pixels uint8 [good,C,R,R], the place of each bad file and why, and facts.

    unread: the places of those bad files that the system did not give, though another time it might.
    """

    n: int
    pixels: npt.NDArray[np.uint8]
    faults: list[tuple[int, str]]
    facts: Counter[ImageHeader]
    unread: list[int] = field(default_factory=list)


def decode_block(names: Sequence[str], read: Callable[[str], bytes], wanted: Transform) -> DecodedBlock:
    """Decode these files; of PNGs that have the size and channels wanted, only the rows, and all of them at once."""
    R, C = wanted.resolution, wanted.channels
    plain: dict[int, bytes] = {}
    others: dict[int, npt.NDArray[np.uint8]] = {}
    faults, unread, facts = [], [], Counter[ImageHeader]()
    for place, name in enumerate(names):
        try:
            data = read(name)
            if rows := fast_png.read_plain_rows(data, R, C):
                plain[place] = rows
            else:
                others[place], found = resize.decode_image(data, wanted)
                facts[found] += 1
        except DataError as err:
            faults.append((place, str(err)))
            if isinstance(err, archive.UnreadError):
                unread.append(place)
    pixels = np.empty((len(names), R, R, C), np.uint8)
    if plain:
        pixels[list(plain)] = fast_png.undo_filters([*plain.values()], R, C)
        facts[ImageHeader("PNG", R, R, "grey" if C == 1 else "RGB", is_grey=C == 1)] += len(plain)
    for place, picture in others.items():
        pixels[place] = picture
    good = sorted(plain.keys() | others.keys())
    return DecodedBlock(len(names), to_channels_first(pixels[good]), faults, facts, unread)


def to_channels_first(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """uint8 [N,R,R,C] -> [N,C,R,R]."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def decode_blocks(
    path: Path, is_zip: bool, tasks: Sequence[Sequence[str]], wanted: Transform, n_workers: int
) -> Iterator[DecodedBlock]:
    """Each task's block, in order; with no workers by this process, one after another. Raises DataError."""
    if n_workers == 0:
        try:
            with listing.open_reader(path, is_zip=is_zip) as read:
                yield from (decode_block(names, read, wanted) for names in tasks)
        except MemoryError as err:
            raise DataError(f"there is too little memory to decode {path}; make huge pictures smaller") from err
        return
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker_process()) for _ in range(min(n_workers, len(tasks)))]
        try:
            for worker in workers:
                send_message(worker, {"path": str(path), "is_zip": is_zip, "wanted": dataclasses.asdict(wanted)})
            for number in range(min(TASKS_AHEAD * len(workers), len(tasks))):
                send_message(workers[number % len(workers)], tasks[number])
            for number in range(len(tasks)):
                worker = workers[number % len(workers)]
                yield receive_block(worker, wanted)
                if (following := number + TASKS_AHEAD * len(workers)) < len(tasks):
                    send_message(worker, tasks[following])
        except (OSError, EOFError, ValueError) as err:
            raise DataError(f"a process that decodes {path} died; is there too little memory?") from err


@contextlib.contextmanager
def worker_process() -> Iterator["subprocess.Popen[bytes]"]:
    """One worker; Ctrl-C on a terminal reaches only its parent, whose end it notices."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(worker_import_path())}
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "gancli.core.data.decode_workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        process_group=0,
        pipesize=PIPE_BYTES,
    )
    try:
        yield worker
    finally:
        worker.kill()
        with contextlib.suppress(OSError):
            worker.communicate()


def worker_import_path() -> list[str]:
    """Where a worker imports from: never the current folder, which may be a stranger's, unless gancli lies there."""
    here, root = os.getcwd(), str(Path(__file__).parents[2])
    return [place for place in sys.path if place and (place == root or os.path.realpath(place) != here)]


def send_message(worker: "subprocess.Popen[bytes]", message: Any) -> None:
    assert worker.stdin
    worker.stdin.write(json.dumps(message).encode() + b"\n")
    worker.stdin.flush()


def receive_block(worker: "subprocess.Popen[bytes]", wanted: Transform) -> DecodedBlock:
    assert worker.stdout
    line = json.loads(worker.stdout.readline())
    shape = (line["n"] - len(line["faults"]), wanted.channels, wanted.resolution, wanted.resolution)
    pixels = np.empty(shape, np.uint8)
    if pixels.size and worker.stdout.readinto(pixels.reshape(-1).data) < pixels.size:  # type: ignore[attr-defined]
        raise EOFError
    faults = [(place, why) for place, why in line["faults"]]
    return DecodedBlock(line["n"], pixels, faults, headers_from_json(line["facts"]), line["unread"])


def headers_to_json(facts: Counter[ImageHeader]) -> list[Any]:
    return [[dataclasses.asdict(found), n] for found, n in facts.items()]


def headers_from_json(values: list[Any]) -> Counter[ImageHeader]:
    return Counter({ImageHeader(**found): n for found, n in values})


def serve_requests(requests: IO[bytes], answers: IO[bytes]) -> NoReturn:
    """Answer until the requests end; the process ends with them."""
    first = json.loads(requests.readline())
    wanted = Transform(**{**first["wanted"], "background": tuple(first["wanted"]["background"])})
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        for line in requests:
            waiting.put(line)
        os._exit(0)  # the one who asked has gone, so a picture that takes long is for nobody

    # Read while an answer is being written: else each side could wait for the other to empty a full pipe.
    threading.Thread(target=listen, daemon=True).start()
    with listing.open_reader(Path(first["path"]), is_zip=first["is_zip"]) as read:
        while True:
            done = decode_block(json.loads(waiting.get()), read, wanted)
            answer = {"n": done.n, "faults": done.faults, "facts": headers_to_json(done.facts), "unread": done.unread}
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.write(done.pixels.reshape(-1).data)
            answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the one who asked has gone
        serve_requests(sys.stdin.buffer, sys.stdout.buffer)
