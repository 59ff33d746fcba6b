"""gancli from Python: its public names, the code of docs/python.md, and that it does the same as the commands."""

import base64
import json
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from commands import FAST, SMALL
from commands import gancli as command
from conftest import ROOT

import gancli
from gancli import events
from gancli.core.networks import model_file
from gancli.errors import ConfigError, ContractError, GancliError, RunError
from gancli.files import image_io
from gancli.trackers import registry
from gancli.workflows import evaluation

SURFACE = ["Evaluation", "GancliError", "Model", "Run", "Score", "evaluate", "generate", "load", "train"]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.fixture
def trained(tiny_idx: Path) -> gancli.Run:
    return gancli.train(tiny_idx, kimg=0.1, **SMALL)


def test_the_public_names_are_fixed_and_have_types_and_docstrings() -> None:
    assert sorted(gancli.__all__) == SURFACE
    assert set(dir(gancli)) == {*SURFACE, "__version__"}
    for name in SURFACE:
        assert getattr(gancli, name).__doc__
    for name in ("evaluate", "generate", "load", "train"):
        hints = typing.get_type_hints(getattr(gancli, name))
        assert "return" in hints and len(hints) >= 4
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = gancli.trian


def test_importing_gancli_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, gancli; dir(gancli); gancli.GancliError; print({'torch', 'numpy', 'typer'} & {*sys.modules})"
    end = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (end.stdout, end.stderr) == ("set()\n", "")


def test_the_code_of_the_page_runs(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the data and the training length are replaced."""
    monkeypatch.setattr(evaluation, "SCORER_N_FAKES", 100)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    code = "\n".join(blocks)
    settings = {**SMALL, "kimg": 0.1, "eval_kimg": 0.05}
    for written, tiny in (
        ('"mnist-5k"', repr(str(tiny_idx))),
        ('{"kimg": 20}', repr(settings)),
        ("kimg=40", "kimg=0.2"),
    ):
        assert code.count(written) == 1, written
        code = code.replace(written, tiny)
    names: dict[str, object] = {}
    exec(compile(code, "docs/python.md", "exec"), names)
    assert len(blocks) >= 2 and names["images"].shape == (16, 8, 8, 1) and names["table"].shape == (6, 8, 8, 1)
    assert Path("runs/00000-quick-tiny/model-best.safetensors").exists()
    assert {*names} >= {name for name in ("run", "model", "evaluation")}
    used = set(re.findall(r"gancli\.(\w+)\(", code))
    assert used == {"train", "load", "generate", "evaluate"}


def test_a_tracker_receives_events_of_new_and_resumed_runs(tiny_idx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    class Told:
        def start(self, record: dict[str, object], run: Path, nimg: int) -> None:
            told.append((run, nimg))

        def event(self, event: events.Event) -> None:
            told.append(type(event))

        def end(self) -> None:
            told.append("end")

    monkeypatch.setattr(registry, "TRACKERS", {"told": Told})
    run = gancli.train(tiny_idx, kimg=0.1, log="told", **SMALL)
    assert told[0] == (run.path, 0) and events.RunEnded in told and told[-1] == "end"
    told.clear()
    gancli.train(resume=run.path, kimg=0.2)
    assert told[0] == (run.path, 104) and told[-1] == "end"
    with pytest.raises(ConfigError, match="unknown tracker 'tolt'"):
        gancli.train(tiny_idx, kimg=0.1, log="tolt", **SMALL)


def test_train_does_what_the_command_does(trained: gancli.Run, tiny_idx: Path) -> None:
    assert command("train", "--data", tiny_idx, "--kimg", "0.1", *FAST, "--outdir", "other").exit_code == 0
    other = Path("other/00000-quick-tiny")
    assert trained.path == Path("runs/00000-quick-tiny")
    for name in ("model.safetensors", "samples.png", "progress.gif"):
        assert (trained.path / name).read_bytes() == (other / name).read_bytes(), name
    assert {path.name for path in trained.path.iterdir()} == {path.name for path in other.iterdir()}
    assert trained.record == json.loads((other / "config.json").read_text())
    assert trained.metrics[-1]["nimg"] == 104 and trained.record["sources"]["kimg"] == "flag"


def test_training_is_observed_stopped_and_resumed(tiny_idx: Path, trained: gancli.Run) -> None:
    told: list[events.Event] = []

    def stop(event: events.Event) -> None:
        told.append(event)
        if isinstance(event, events.Measured) and event.kind == "epoch":
            raise StopIteration

    run = gancli.train(tiny_idx, kimg=0.1, on_event=stop, **SMALL)
    assert isinstance(told[0], events.RunStarted) and told[-1].reason == "stopped" and told[-1].nimg < 100
    again = gancli.train(resume=run.path)
    assert again == run
    assert (run.path / "model.safetensors").read_bytes() == (trained.path / "model.safetensors").read_bytes()
    assert gancli.train(resume=run.path.name).metrics == run.metrics, "a finished run stays as it is"
    assert gancli.train(resume=run.path, kimg=0.2).metrics[-1]["nimg"] == 200


def test_notes_and_warnings_are_logged(tiny_idx: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = gancli.train(tiny_idx, kimg=0.1, augment_strength=0.2, augment="none", **SMALL)
    assert "--augment-strength has no effect without --augment" in caplog.text
    gancli.train(tiny_idx, kimg=0.1, init=first.path, **{k: v for k, v in SMALL.items() if "width" not in k})
    assert "starting from" in (Path("runs/00001-quick-tiny") / "events.jsonl").read_text()


def test_generated_images_equal_those_of_sample(trained: gancli.Run) -> None:
    model = gancli.load(trained.path.name)
    assert (
        isinstance(model, model_file.Model) and model.digest == gancli.load(trained.path / "model.safetensors").digest
    )
    for flags, asked in (
        (["--n", "5"], {"n": 5}),
        (["--seeds", "3,9", "--class", "all"], {"seeds": [3, 9], "classes": "all"}),
        (["--n", "4", "--class", "1,2", "--trunc", "0.5"], {"n": 4, "classes": [1, "2"], "trunc": 0.5}),
    ):
        assert command("sample", trained.path, *flags, "-o", "x.npz", "--force").exit_code == 0
        pictures = gancli.generate(model, **asked)
        assert pictures.dtype == np.uint8 and pictures.shape[1:] == (8, 8, 1)
        assert np.array_equal(pictures, np.load("x.npz")["images"])
    assert len(gancli.generate(model)) == 64 and len(gancli.generate(model, classes="all")) == 3 * 64


def test_scores_equal_those_of_evaluate(trained: gancli.Run, tiny_idx: Path) -> None:
    told = json.loads(command("evaluate", trained.path, "--n", "60", "--json").stdout)
    found = gancli.evaluate(trained, n=60).to_json()
    assert found == {key: told[key] for key in ("scores", "conditions")}
    assert found["scores"]["kid_random"]["floor"] is not None
    for same in (str(trained.path), gancli.load(trained.path)):
        some = gancli.evaluate(same, tiny_idx, n=60, metrics=["kid"])
        assert some.scores["kid_random"].value == found["scores"]["kid_random"]["value"]


def test_any_pictures_can_be_scored(trained: gancli.Run, tiny_idx: Path) -> None:
    pictures = gancli.generate(trained.model(), 60)
    np.savez("x.npz", images=pictures)
    of_model = gancli.evaluate(trained, n=60, metrics=["kid"]).scores["kid_random"]
    for same in (pictures, pictures[..., 0], Path("x.npz")):
        assert gancli.evaluate(same, tiny_idx, metrics=["kid"]).scores["kid_random"].value == of_model.value
    fewer = [gancli.evaluate(same, tiny_idx, n=30, metrics=["kid"], seed=1) for same in (pictures, Path("x.npz"))]
    assert fewer[0].to_json() == fewer[1].to_json() and fewer[0].conditions["n_fake"] == 30
    assert fewer[0].scores != gancli.evaluate(pictures[:30], tiny_idx, metrics=["kid"], seed=1).scores, "not the first"


def test_mistakes_raise_errors_that_say_what_to_do(trained: gancli.Run, tiny_idx: Path) -> None:
    model, pictures = trained.model(), np.zeros((30, 8, 8, 1), np.uint8)
    wrong = [
        (lambda: gancli.train(tiny_idx, learning_rate=0.1), ConfigError, "unknown setting 'learning_rate'"),
        (lambda: gancli.train(tiny_idx, preset="quik"), ConfigError, "did you mean 'quick'"),
        (lambda: gancli.train(resume=trained.path, init=trained.path), ConfigError, "cannot be combined"),
        (lambda: gancli.train(resume=trained.path, lr=0.1), ConfigError, "remove --lr"),
        (lambda: gancli.load("nowhere"), RunError, "no run folder"),
        (lambda: gancli.generate(model, 3, seeds=[1]), ConfigError, "cannot be combined"),
        (lambda: gancli.generate(model, seeds=[-1]), ConfigError, "seeds from 0"),
        (lambda: gancli.generate(model, 0), ConfigError, "from 1 to"),
        (lambda: gancli.generate(model, 10_000_001), ConfigError, "10,000,001 images are too many"),
        (lambda: gancli.generate(model, seeds=[]), ConfigError, "from 1 to"),
        (lambda: gancli.generate(model, 2, trunc=3), ConfigError, "trunc from 0 to 2"),
        (lambda: gancli.generate(model, 2, classes=[7]), ConfigError, "unknown class '7'"),
        (lambda: gancli.evaluate(pictures), ConfigError, "set data to"),
        (lambda: gancli.evaluate(pictures.astype(float), tiny_idx), ContractError, r"float64 \[30, 8, 8, 1\]"),
        (lambda: gancli.evaluate(pictures[:, :4], tiny_idx), GancliError, "1x4x8"),
        (lambda: gancli.evaluate(trained, n=0), ConfigError, "n must be"),
        (lambda: gancli.evaluate(trained, metrics=["fdi"]), ConfigError, "unknown metric"),
    ]
    before = sorted(Path("runs").rglob("*"))
    for call, kind, text in wrong:
        with pytest.raises(kind, match=text):
            call()
    assert sorted(Path("runs").rglob("*")) == before and len(wrong) == 17


def embedded_png(shown: str, words: str = "Samples") -> np.ndarray:
    (coded,) = re.findall(rf'src="data:image/png;base64,([^"]+)" alt="{words}', shown)
    Path("shown.png").write_bytes(base64.b64decode(coded))
    return image_io.read_png(Path("shown.png"))


def test_a_run_shows_itself_in_a_notebook(trained: gancli.Run) -> None:
    shown = trained._repr_html_()
    assert f"<b>{trained.path.name}</b>" in shown and "quick on tiny · finished · 0.1 of 0.1 kimg" in shown
    assert np.array_equal(embedded_png(shown), image_io.read_png(trained.path / "samples.png"))
    assert embedded_png(shown, "Curves of loss").shape == (448, 480, 3)
    (trained.path / "samples.png").write_bytes(b"damaged")
    (trained.path / "metrics.jsonl").unlink()
    assert "no samples yet" in trained._repr_html_()
    config = trained.path / "config.json"
    record = {**json.loads(config.read_text()), "preset": "<script>", "eval": {"score": "fd_x", "floor": 0.25}}
    config.write_text(json.dumps(record))
    (trained.path / "metrics.jsonl").write_text('{"kind": "eval", "nimg": 100, "fd_x": 0.5}\n')
    shown = trained._repr_html_()
    assert "best fd_x 0.500 at 0.1 kimg, floor 0.250" in shown and "&lt;script&gt;" in shown and "<script" not in shown
    config.unlink()
    assert "no config.json" in trained._repr_html_()


def test_a_broken_run_shows_itself_too(trained: gancli.Run) -> None:
    samples, config = trained.path / "samples.png", trained.path / "config.json"
    head = samples.read_bytes()
    samples.write_bytes(head[:16] + bytes(8) + head[24:])
    assert "Samples" not in trained._repr_html_() and "Curves of loss" in trained._repr_html_()
    record = json.loads(config.read_text())
    for ideal in (1e308, -1e308, 1e299):
        changes = {
            "ideals": {"d_loss": ideal, "g_loss": 1, "accuracy": ideal},
            "eval": {"score": "kid", "floor": ideal},
        }
        config.write_text(json.dumps({**record, **changes}))
        assert embedded_png(trained._repr_html_(), "Curves of loss").shape == (448, 480, 3)
    if hasattr(os, "mkfifo"):
        config.unlink()
        os.mkfifo(config)
        assert "config.json" in trained._repr_html_()


def test_a_model_shows_16_samples_in_a_notebook(trained: gancli.Run) -> None:
    model = trained.model()
    shown = model._repr_html_()
    assert "<b>conv generator</b><br>quick on tiny · 0.1 kimg · 8 x 8 px, grey · 3 classes" in shown
    grid = embedded_png(shown)
    scale = grid.shape[0] // 32
    images = gancli.generate(model, 16)[..., 0]
    assert np.array_equal(grid[::scale, ::scale].reshape(4, 8, 4, 8).swapaxes(1, 2).reshape(16, 8, 8), images)
