"""The scripts of benchmarks/, which are run by hand: they load, score and draw."""

import dataclasses
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT
from matplotlib.image import imread
from torch import Tensor

from gancli import media

SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_says_in_its_first_line_what_it_measures(name: str) -> None:
    assert len(SCRIPTS) > 10 and (script(name).__doc__ or "").splitlines()[0].endswith((".", ":"))


def noise(n: int, channels: int, seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, 28, 28), dtype=torch.uint8, generator=draws)


@pytest.fixture
def untrained(tmp_path: Path) -> Any:
    """Judges as they are kept in the cache, none of which has learned anything, for 300 pictures of noise."""
    judge = script("judge")
    torch.manual_seed(0)
    nets = {name: tuple(part.eval() for part in judge.make_judge(name)) for name in judge.NAMES}
    real = noise(300, 1, 1)
    reals = {name: judge.halves(judge.features_of(net, real)) for name, (net, _) in nets.items()}
    (tmp_path / "judges").write_bytes(judge.pack(judge.Judges("mnist-5k", nets, reals)))
    return lambda data: judge.unpack(data, tmp_path / "judges")


def test_judges_tell_the_real_pictures_from_others(untrained: Any) -> None:
    judge = script("judge")
    same, other = (
        judge.score(untrained("mnist-5k"), pictures) for pictures in (noise(300, 1, 1), noise(300, 1, 2) // 2)
    )
    for name in judge.NAMES:
        assert same["judges"][name]["multiple"] < 1e-3 and other["judges"][name]["multiple"] > 2
    assert same["n"] == 300 and 0 <= same["tv"] <= 1


def test_stacked_pictures_are_read_digit_by_digit(untrained: Any) -> None:
    found = script("judge").score(untrained("stacked-mnist"), noise(50, 3, 1))
    assert 1 <= found["modes"] <= 50 < found["modes_floor"] + 10 and found["kl"] > found["kl_floor"] > 0


def test_the_table_of_presets_takes_the_later_of_two_runs_and_names_the_spread(untrained: Any) -> None:
    score, presets = script("judge").score, script("presets")
    about = {"case": "mnist-60s", "kimg": 60.0, "train_s": 55.5}
    scored = score(untrained("mnist-5k"), noise(300, 1, 3))
    rows = [{**about, "seed": seed, "kimg": kimg, **scored} for seed, kimg in ((0, 9), (0, 60), (1, 80))]
    stacked = {**about, "case": "stacked", "seed": 0, **score(untrained("stacked-mnist"), noise(50, 3, 1))}
    _, _, digits, numbers = presets.table([*rows, stacked]).splitlines()
    assert digits.startswith("| `--data mnist-5k --time-budget 60s` | 2 | 70.0 (60.0 to 80.0) | 55.5 | ")
    assert digits.endswith(" | 1.67 |") and digits.count("|") == numbers.count("|") == 11
    assert f"| {stacked['modes']}, {stacked['kl']:.4f} ({stacked['kl_floor']:.4f}) |" in numbers


def made_up_ladder(run: Any) -> dict[str, Any]:
    judges = {name: {"multiple": 2.0 + run.seed} for name in script("judge").NAMES}
    return {"nimg": 30_000, "train_s": 60.0, "n_train": 4500, "judges": judges, "tv": 0.01}


def made_up_cure(run: Any) -> dict[str, Any]:
    lines = [{"nimg": nimg, "fd_digits": 50e3 / nimg, "r_v": nimg / 1e4} for nimg in (1000, 3000, 5000)]
    scores = {"fd_digits": 12.0, "class_tv": 0.1, "closer_than_heldout": 0.5, "close_share": 0.01}
    return {
        **{"nimg": 5000, "train_s": 60.0, "n_train": 4500, "floor": 1.0},
        **{"evaluations": lines, "ticks": lines, "scores": scores},
    }


@pytest.mark.parametrize(("what", "made_up", "rows"), [("ladder", made_up_ladder, 8), ("cures", made_up_cure, 4)])
def test_ablations_are_measured_once_and_drawn_from_what_was_kept(
    what: str, made_up: Any, rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ablations, measured = script("ablations"), []

    def measure(kind: str, run: Any, out: Path) -> dict[str, Any]:
        measured.append(run.name)
        media.write_png(ablations.strip_path(out, run.name, run.seed), noise(1, 1, 0).view(28, 28).numpy())
        return {**vars(run), **made_up(run)}

    monkeypatch.setattr(ablations, "measure", measure)

    def call(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["ablations.py", what, "--out", "found", *arguments])
        ablations.main()
        return capsys.readouterr().out.splitlines()

    table = call("--seeds", "0", "1")
    assert len(table) == 2 + rows and len(measured) == 2 * rows == 2 * len({*measured})
    assert len({line.count("|") for line in table}) == 1
    assert imread(Path(f"found/{what}.png"))[..., :3].std() > 0.08
    assert call("--seeds", "0", "1") == call("--seeds", "0", "1", "--draw") == table and len(measured) == 2 * rows
    for name in ("classic", "quick"):
        monkeypatch.setitem(ablations.PRESETS, name, dataclasses.replace(ablations.PRESETS[name], lr=0.5))
    with pytest.raises(SystemExit, match="none of these runs"):
        call("--draw")
