"""Every error a user can cause: the command line, the exit code, the whole message, and nothing else touched."""

import io
import json
import os
import re
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from commands import gancli
from conftest import ROOT, idx_bytes
from PIL import Image

from gancli.core import devices
from gancli.core.networks import tensor_file
from gancli.files.run_folder import RunDir

HARMLESS = ("note: ", "warning: ")  # lines that may come before the error
TABLE = ROOT / "tests" / "cli" / "errors.txt"


def png(size: int = 8, color: int = 3) -> bytes:
    file = io.BytesIO()
    Image.new("L", (size, size), color).save(file, "PNG")
    return file.getvalue()


def zip_of(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def cut(path: Path, to: Path) -> None:
    """Cut off the second half of a file."""
    content = path.read_bytes()
    to.write_bytes(content[: len(content) // 2])


def copied(run: Path, name: str) -> Path:
    return Path(shutil.copytree(run, Path("runs") / name))


def make_data() -> None:
    Path("empty").mkdir()
    Path("words.txt").write_text("not a picture\n")
    Path("cut.png").write_bytes(png()[:50])
    Path("taken.png").write_bytes(png())
    zip_of(Path("good.zip"), {f"{i}.png": png(8, i) for i in range(12)})
    cut(Path("good.zip"), Path("cut.zip"))
    np.savez("floats.npz", images=np.zeros((12, 8, 8)))
    np.savez("few.npz", images=np.zeros((3, 8, 8), np.uint8))
    np.savez("good.npz", images=np.zeros((12, 8, 8), np.uint8))
    cut(Path("good.npz"), Path("cut.npz"))
    zip_of(Path("bad-labels.zip"), {f"{i}.png": png(8, i) for i in range(12)} | {"dataset.json": b'{"labels": 3}'})
    for name, content in (("broken-idx", idx_bytes((12, 8, 8), bytes(100))), ("no-idx", b"\0\0\x0d\x03" + bytes(20))):
        Path(name).mkdir()
        Path(name, "train-images-idx3-ubyte").write_bytes(content)
    Path("bad-pictures").mkdir()
    for i in range(30):
        Path("bad-pictures", f"{i:02}.png").write_bytes(png(8, i)[: None if i < 15 else 40])


def make_settings() -> None:
    Path("bad.toml").write_text("lr = \n")
    Path("unknown.toml").write_text("learning_rate = 0.1\n")
    Path("wrong.toml").write_text('lr = "fast"\n')
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")


def make_models(run: Path) -> None:
    model = run / "model.safetensors"
    cut(model, Path("cut.safetensors"))
    flipped = bytearray(model.read_bytes())
    flipped[-9] ^= 1
    Path("flipped.safetensors").write_bytes(flipped)
    Path("foreign.safetensors").write_bytes(safetensors.torch.save({"w": torch.zeros(3)}))
    Path("newer.safetensors").write_bytes(
        model.read_bytes().replace(b'\\"format_version\\": 1', b'\\"format_version\\": 7')
    )
    tensors, meta, _ = tensor_file.unpack_tensors("model", model)
    for name, change in (
        ("huge", {"g_width": 4096, "resolution": 256, "z_dim": 4096}),
        ("wide", {"g_width": 10**12}),
        ("odd", {"model": "diffusion"}),
    ):
        Path(f"{name}.safetensors").write_bytes(
            tensor_file.pack_tensors("model", tensors, {**meta, "spec": {**meta["spec"], **change}})
        )


def make_runs(run: Path) -> None:
    for checkpoint in RunDir(copied(run, "00001-no-checkpoint")).checkpoints():
        checkpoint.unlink()
    for checkpoint in RunDir(copied(run, "00002-damaged")).checkpoints():
        cut(checkpoint, checkpoint)
    (copied(run, "00003-bad-json") / "config.json").write_text("{")
    for name, place, value in (
        ("00004-bad-record", ("plan", "total_nimg"), "many"),
        ("00005-newer", ("train", "warp"), 9),
        ("00006-other-data", ("data", "digest"), "0" * 64),
        ("00007-lost-data", ("data", "source"), os.path.abspath("gone")),
        ("00012-huge", ("train", "g_width"), 4096),
    ):
        path = copied(run, name) / "config.json"
        record = json.loads(path.read_text())
        record[place[0]][place[1]] = value
        path.write_text(json.dumps(record))
    shutil.rmtree(copied(run, "00008-no-frames") / "frames")
    for frame in RunDir(copied(run, "00009-cut-frame")).frame_paths():
        cut(frame, frame)
    (copied(run, "00010-no-metrics") / "metrics.jsonl").write_text("not json\n")
    copied(run, "00011-busy")
    (copied(run, "00013-deep") / "config.json").write_text("[" * 200_000)
    link = copied(run, "00014-linked") / "frames"
    shutil.rmtree(link)
    link.symlink_to(Path("empty").absolute())


@pytest.fixture
def folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home folder of the test, filled with faulty files. One of its runs is locked; memory is limited to 2 GB."""
    monkeypatch.setattr(devices, "usable_memory_bytes", lambda device=None: 2 * 10**9)
    make_data()
    make_settings()
    make_models(run)
    make_runs(run)
    with RunDir(Path("runs/00011-busy")).lock():
        yield Path()


def read_rows() -> list[tuple[str, int, str]]:
    """Rows of errors.txt: a command line after "$ ", then the exit code and the message; $PWD stands for the folder."""
    found = []
    for block in TABLE.read_text(encoding="utf-8").removeprefix("$ ").split("\n\n$ "):
        command, _, outcome = block.strip().partition("\n")
        code, _, message = outcome.partition(" ")
        found.append((command, int(code), message))
    return found


def files() -> dict[str, tuple[int, ...]]:
    """Everything except the cache: size, modification time and inode of each file; the names of folders."""
    found = {}
    for folder, subfolders, names in os.walk("."):
        if folder == ".":
            subfolders.remove("home")
        found |= {os.path.join(folder, name): () for name in subfolders}
        for path in (os.path.join(folder, name) for name in names):
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def test_the_table_is_long_and_every_command_is_in_it() -> None:
    commands = [command for command, _, _ in read_rows()]
    assert len(commands) == len({*commands}) >= 120
    assert {"train", "sample", "interpolate", "evaluate", "animate", "export", "runs", "doctor"} <= {
        shlex.split(each)[1] for each in commands
    }


TYPERS_OWN = ("Invalid value for", "No such", "Option '", "Got unexpected")


def test_errors_say_what_to_do_or_what_is_possible() -> None:
    """After a semicolon, or as the range or the known names."""
    own = [message for _, _, message in read_rows() if not message.removeprefix("error: ").startswith(TYPERS_OWN)]
    assert [message for message in own if not re.search(r"; \w|known: | must be ", message)] == []
    assert len(own) >= 150


def test_each_mistake_gets_its_line_and_changes_nothing(folder: Path, request: pytest.FixtureRequest) -> None:
    before, wrong, here, now_said = files(), list[str](), str(Path().resolve()), list[str]()
    for command, code, message in read_rows():
        result = gancli(*shlex.split(command)[1:])
        errors = [line for line in result.stderr.splitlines() if line.startswith(("error: ", "Error: "))]
        said = [re.sub(r"[0-9a-f]{16}-[0-9a-f]{16}", "X", line.replace(here, "$PWD")) for line in errors]
        more = [line for line in result.stderr.splitlines() if not line.startswith(("error: ", *HARMLESS))]
        now_said.append("\n".join([f"$ {command}", f"{result.exit_code} {said[0] if said else ''}"]))
        if (result.exit_code, said, more) != (code, [message], []):
            wrong.append(f"$ {command}\n{result.exit_code} {chr(10).join(said) or result.output[-300:]}\n")
        if (now := files()) != before:
            changed = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
            wrong.append(f"$ {command}\nchanged {', '.join(changed)}\n")
            before = now
    if request.config.getoption("--update-golden"):
        TABLE.write_text("\n\n".join(now_said) + "\n", encoding="utf-8")
    assert not wrong, "\n".join(["", *wrong])
