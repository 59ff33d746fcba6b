"""Completion at the Tab key: what it offers, and that it imports nothing heavy."""

import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gancli import config, platform, presets
from gancli.cli import completion
from gancli.cli.app import app
from gancli.datasets import DATASETS

COMPLETE = """
import json, sys
from gancli.cli.app import main
try:
    main()
except SystemExit:
    pass
print(json.dumps([name for name in ("torch", "numpy", "PIL", "jinja2") if name in sys.modules]), file=sys.stderr)
"""
RUNS = ["00001-classic-tiny", "00000-quick-tiny"]


def run_gancli(*arguments: str, **variables: str) -> list[str]:
    end = subprocess.run(
        [sys.executable, "-c", COMPLETE, *arguments], capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert json.loads(end.stderr.splitlines()[-1]) == [], end.stderr
    return end.stdout.splitlines()


def complete(line: str) -> list[str]:
    """The words that bash offers for the last word of a command line, in a process of its own."""
    words = line.split(" ")
    variables = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    return [*filter(None, run_gancli(_GANCLI_COMPLETE="complete_bash", **variables))]


@pytest.fixture
def complete_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Return the output of gancli in this process for a shell and its environment variables."""

    def complete(shell: str, **variables: str) -> list[str]:
        monkeypatch.setenv("_GANCLI_COMPLETE", f"complete_{shell}")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        run = functools.partial(app, prog_name="gancli")
        with pytest.raises(SystemExit):
            completion.complete_for_bash(run) if shell == "bash" else run()
        output = capsys.readouterr()
        assert not output.err
        return [*filter(None, output.out.splitlines())]

    return complete


@pytest.fixture
def in_bash(complete_here: Callable[..., list[str]]) -> Callable[[list[str]], list[str]]:
    """Complete the last of the words that bash splits a command line into."""
    return lambda words: complete_here("bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1))


@pytest.fixture
def in_zsh(complete_here: Callable[..., list[str]]) -> Callable[[str], list[str]]:
    return lambda line: re.findall('"(.*?)"', " ".join(complete_here("zsh", _TYPER_COMPLETE_ARGS=line)))


@pytest.fixture
def in_fish(complete_here: Callable[..., list[str]]) -> Callable[[str], list[str]]:
    action = "get-args"
    return lambda line: complete_here("fish", _TYPER_COMPLETE_ARGS=line, _TYPER_COMPLETE_FISH_ACTION=action)


@pytest.fixture
def runs() -> None:
    for name in RUNS:
        Path("runs", name).mkdir(parents=True)
    Path("runs", "00002-$(touch pwned)").mkdir()
    Path("others", "00007-stacked").mkdir(parents=True)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gancli train --preset ", [*presets.PRESETS]),
        ("gancli train --data mnist", [name for name in DATASETS if name.startswith("mnist")]),
        ("gancli evaluate --data ", [*DATASETS]),
        ("gancli train --loss h", ["hinge"]),
        ("gancli train --model ", ["mlp", "conv", "resnet"]),
        ("gancli train --fit ", ["crop", "pad", "stretch"]),
        ("gancli train --kimg ", []),
        ("gancli sa", ["sample"]),
        ("gancli sample --tr", ["--trunc"]),
    ],
)
def test_names_complete(line: str, offered: list[str]) -> None:
    assert complete(line) == offered


@pytest.mark.parametrize(
    "start",
    ["sample ", "evaluate ", "animate ", "report ", "export ", "interpolate ", "train --resume ", "train --init "],
)
def test_runs_complete_newest_first(start: str, runs: None) -> None:
    assert complete(f"gancli {start}") == RUNS


def test_runs_complete_below_outdir_and_by_path(runs: None) -> None:
    assert complete("gancli sample --outdir others ") == ["00007-stacked"]
    assert complete("gancli sample runs/00000") == ["runs/00000-quick-tiny"]
    assert complete("gancli report 00000-quick-tiny others/0") == ["others/00007-stacked"]
    assert complete("gancli sample nowhere/") == []


CLASSES = ["Ankle boot", "Ankle sock", "ns:cat", "ns:dog", "bag", "$(touch pwned)", "it's", " x", 'a"b']


def write_model(path: Path, classes: object = CLASSES) -> None:
    """A model file with these class names and without weights."""
    from gancli.core.networks import tensor_file

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tensor_file.pack_tensors("model", {}, {"class_names": classes}))


@pytest.fixture
def models(runs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and model files; the newest run has the classes cat and dog, the run before it has CLASSES."""
    for name, classes in zip(RUNS, (["cat", "dog"], CLASSES), strict=True):
        write_model(Path("runs", name, "model.safetensors"), classes)
        Path("runs", name, "config.json").write_text("{}")
    write_model(Path("others/00007-stacked/model.safetensors"), ["7"])
    write_model(Path("bird.safetensors"), ["bird"])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    write_model(tmp_path / "home" / "home.safetensors", ["owl"])
    Path("others/00007-stacked/config.json").write_text("{}")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--class", ""], ["cat", "dog"]),
        (["--class", "d"], ["dog"]),
        (["--class", "cat,"], ["cat,dog"]),
        (["--class", "cat,dog,"], []),
        (["--class", "=", "d"], ["dog"]),
        (["--outdir", "=", "others", "--class", ""], ["7"]),
        (["--outdir", "others", "--class", ""], ["7"]),
        (["bird.safetensors", "--class", ""], ["bird"]),
        (["--n", "4", "~/home.safetensors", "--class", "o"], ["owl"]),
        (["00000-quick-tiny", "--class", ""], [r"Ankle\ boot", r"Ankle\ sock", "ns:cat", "ns:dog", "bag"]),
        (["runs/00000-quick-tiny", "--class", r"Ankle\ b"], [r"Ankle\ boot"]),
        (["00000-quick-tiny", "--class", '"Ankle b'], ["Ankle boot"]),
        (["00000-quick-tiny", "--class", "ns", ":", "c"], ["cat"]),
        (["00000-quick-tiny", "--class", "ns", ":"], ["cat", "dog"]),
        (["00000-quick-tiny", "--class", "bag,ns", ":", "c"], ["cat"]),
        (["00000-quick-tiny", "--class", "'ns:c"], ["ns:cat"]),
        (["00000-quick-tiny", "--class", r"bag,Ankle\ s"], [r"bag,Ankle\ sock"]),
    ],
)
def test_classes_complete_in_bash(
    words: list[str], offered: list[str], models: None, in_bash: Callable[[list[str]], list[str]]
) -> None:
    assert in_bash(["gancli", "sample", *words]) == offered


def test_classes_complete_for_each_command_without_heavy_imports(models: None) -> None:
    assert complete("gancli sample --class ") == ["cat", "dog"]
    assert complete("gancli interpolate bird.safetensors --class ") == ["bird"]


def test_classes_complete_in_zsh_and_fish(
    models: None, in_zsh: Callable[[str], list[str]], in_fish: Callable[[str], list[str]]
) -> None:
    line = "gancli sample 00000-quick-tiny --class "
    assert in_fish(f"{line}Ank") == ["Ankle boot", "Ankle sock"]
    assert in_fish(f"{line}Ankle\\ b") == ["Ankle boot"]
    assert in_fish(f"{line}bag,ns:c") == ["bag,ns:cat"]
    assert in_zsh(f"{line}'Ankle b") == ["Ankle boot"]
    assert in_zsh(f"{line}ns:c") == [r"ns\\:cat"]
    assert in_zsh("gancli interpolate --class ") == ["cat", "dog"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, bytes(8), b"\x10" + bytes(7) + b"[[[[[[[[[[[[[[[["])
def test_a_broken_model_completes_nothing(
    content: bytes, models: None, in_bash: Callable[[list[str]], list[str]]
) -> None:
    for path in (Path("broken.safetensors"), Path("runs", RUNS[0], "model.safetensors")):
        path.write_bytes(content)
    for words in ("broken.safetensors", "", "missing", "--outdir nowhere"):
        assert in_bash(["gancli", "sample", *words.split(), "--class", ""]) == []


def test_without_a_home_folder_a_path_in_it_completes_nothing(
    models: None, in_bash: Callable[[list[str]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "home_folder", lambda: None)
    assert in_bash(["gancli", "sample", "~/x", "--class", ""]) == []
    assert in_bash(["gancli", "sample", "bird.safetensors", "--class", ""]) == ["bird"]


@pytest.mark.parametrize("words", ["bogus", "--bogus", "sample --bogus", "sample --n x --class", "sample --class cat"])
def test_a_wrong_command_line_completes_without_an_error(
    words: str, models: None, in_bash: Callable[[list[str]], list[str]]
) -> None:
    in_bash(["gancli", *words.split(), ""])


@pytest.mark.parametrize("classes", [None, 3, [], [1, 2], {"cat": 1}])
def test_a_model_without_class_names_completes_nothing(
    classes: object, models: None, in_bash: Callable[[list[str]], list[str]]
) -> None:
    write_model(Path("odd.safetensors"), classes)
    assert in_bash(["gancli", "sample", "odd.safetensors", "--class", ""]) == []


def test_classes_are_found_in_less_than_150_ms(models: None) -> None:
    write_model(Path("many.safetensors"), [f"class {number}" for number in range(10_000)])
    ctx: Any = SimpleNamespace(params={"source": "many.safetensors"}, args=[])
    start_s = time.process_time()
    assert len(completion.complete_classes(ctx, "class 1")) == 1111
    assert time.process_time() - start_s < 0.15


def test_the_script_for_the_shell_is_printed_and_installed(tmp_path: Path) -> None:
    detection = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for shell in ("bash", "zsh", "fish"):
        assert "_GANCLI_COMPLETE" in "".join(run_gancli("--show-completion", shell, **detection))
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    run_gancli("--install-completion", "bash", **detection, **home)
    installed = list(tmp_path.rglob("gancli.sh"))
    assert len(installed) == 1 and "gancli" in (tmp_path / ".bashrc").read_text()


def test_every_setting_with_fixed_names_completes() -> None:
    from gancli.cli.options import setting_choices

    named = {name for name in config.setting_fields() if setting_choices(name)}
    assert named >= {"data", "model", "loss", "fit", "channels", "device", "precision"}
