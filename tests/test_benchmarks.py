"""The scripts of benchmarks/, which are run by hand: they load, score and draw."""

import dataclasses
import importlib
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT
from PIL import Image, ImageStat
from torch import Tensor

from gancli import presets
from gancli.config import ModelSpec
from gancli.core.networks import build as models
from gancli.files import image_io

SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def spread_of_pixels(path: Path) -> float:
    with Image.open(path) as picture:
        return ImageStat.Stat(picture.convert("L")).stddev[0]


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_benchmark_has_a_first_line_that_says_what_it_does(name: str) -> None:
    assert len(SCRIPTS) > 10 and (script(name).__doc__ or "").splitlines()[0].endswith((".", ":"))


def noise(n: int, channels: int, seed: int) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, 28, 28), dtype=torch.uint8, generator=draws)


@pytest.fixture
def untrained(tmp_path: Path) -> Any:
    """Untrained judges, as in the cache, for 300 images of noise."""
    judge = script("judge")
    torch.manual_seed(0)
    nets = {name: tuple(part.eval() for part in judge.make_judge(name)) for name in judge.NAMES}
    real = noise(300, 1, 1)
    reals = {name: judge.halves(judge.features_of(net, real)) for name, (net, _) in nets.items()}
    (tmp_path / "judges").write_bytes(judge.pack(judge.Judges("mnist-5k", nets, reals)))
    return lambda data: judge.unpack(data, tmp_path / "judges")


def test_judges_distinguish_real_images_from_others(untrained: Any) -> None:
    judge = script("judge")
    same, other = (
        judge.score(untrained("mnist-5k"), pictures) for pictures in (noise(300, 1, 1), noise(300, 1, 2) // 2)
    )
    for name in judge.NAMES:
        assert same["judges"][name]["multiple"] < 1e-3 and other["judges"][name]["multiple"] > 2
    assert same["n"] == 300 and 0 <= same["tv"] <= 1


def test_stacked_images_are_read_digit_by_digit(untrained: Any) -> None:
    found = script("judge").score(untrained("stacked-mnist"), noise(50, 3, 1))
    assert 1 <= found["modes"] <= 50 < found["modes_floor"] + 10 and found["kl"] > found["kl_floor"] > 0


def test_the_table_of_presets_uses_the_later_of_two_runs_and_shows_the_spread(untrained: Any) -> None:
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


@pytest.mark.long
@pytest.mark.parametrize(("what", "made_up", "rows"), [("ladder", made_up_ladder, 8), ("cures", made_up_cure, 4)])
def test_ablations_are_measured_once_and_drawn_from_saved_results(
    what: str, made_up: Any, rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ablations, measured = script("ablations"), []

    def measure(kind: str, run: Any, out: Path) -> dict[str, Any]:
        measured.append(run.name)
        image_io.write_png(ablations.strip_path(out, run.name, run.seed), noise(1, 1, 0).view(28, 28).numpy())
        return {**vars(run), **made_up(run)}

    monkeypatch.setattr(ablations, "measure", measure)

    def call(*arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["ablations.py", what, "--out", "found", *arguments])
        ablations.main()
        return capsys.readouterr().out.splitlines()

    table = call("--seeds", "0", "1")
    assert len(table) == 2 + rows and len(measured) == 2 * rows == 2 * len({*measured})
    assert len({line.count("|") for line in table}) == 1
    assert spread_of_pixels(Path(f"found/{what}.png")) > 20
    assert call("--seeds", "0", "1") == call("--seeds", "0", "1", "--draw") == table and len(measured) == 2 * rows
    for name in ("classic", "quick"):
        monkeypatch.setitem(ablations.PRESETS, name, dataclasses.replace(ablations.PRESETS[name], lr=0.5))
    with pytest.raises(SystemExit, match="none of these runs"):
        call("--draw")


def test_measurements_alternate_and_are_summarised_by_medians() -> None:
    runs, called = script("runs"), []

    def work(name: str, number: int) -> float:
        called.append(name)
        return float(10**number)

    found = runs.in_turn({name: partial(work, name) for name in "ab"}, 3)
    assert called == ["a", "b", "b", "a", "a", "b"] and found["a"] == found["b"] == [1, 10, 100]
    assert runs.median(found["a"]) == "10.0 (1.00 to 100)" and runs.spread(found["a"]) == "37.0 (1.00 to 100)"
    assert runs.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_fresh_process_reports_its_cost_and_its_error() -> None:
    runs = script("runs")
    spent = runs.fresh("-c", "x = bytearray(300 * 2**20); print(len(x))")
    assert spent.output == f"{300 * 2**20}\n" and spent.memory_mib > 300 and spent.wall_s > 0 < spent.cpu_s
    with pytest.raises(SystemExit, match=r"(?s)ended with 1:.*ZeroDivisionError"):
        runs.fresh("-c", "1 / 0")


def test_operations_match_a_count_by_hand() -> None:
    """D step: G forward; D forward and weight gradients for real and fake, and gradients of all but its input. G step:
    G forward, weight gradients and gradients of all but z; D forward and gradients through it."""
    workload = script("workload")
    engine = workload.engine_of("classic", workload.noise(100), {"threads": 1})
    d, g = 784 * 256 + 256 * 256 + 256, 64 * 256 + 256 * 256 + 256 * 784
    macs = g + 2 * (3 * d - 784 * 256) + (3 * g - 64 * 256) + 2 * d
    assert workload.flops(engine.step) == 2 * 32 * macs


def test_each_second_of_a_step_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    phases, clock = script("phases"), iter(range(1000))
    monkeypatch.setattr(phases.time, "perf_counter", lambda: next(clock))
    watch = phases.Stopwatch()
    inner = watch.wrapped(lambda: next(clock), "inner")
    outer = watch.wrapped(lambda: [inner(), inner()], "outer")
    outer()
    assert watch.spent_s == {"outer": 3, "inner": 4} and not watch.running


def test_phases_add_up_and_do_not_change_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    phases = script("phases")
    monkeypatch.setattr(phases, "N_IMAGES", 300)
    subject = phases.Subject("quick", threads=1, width=8, batch=4)
    engine = subject.engine
    with phases.watched(engine) as watch:
        subject.step(regularised=True)
    assert {*watch.spent_s} == {*phases.PHASES} - {"regulariser", "ticks"}
    assert "step" not in vars(engine) and "forward" not in vars(engine.state.G)
    with_it, without = (script("workload").flops(partial(subject.step, one)) for one in (True, False))
    assert with_it > 1.2 * without and subject.flops() * 64 == without + (with_it - without) / 8

    seconds = {**dict.fromkeys(phases.PHASES, 0.001), "step": 0.01}
    measured, peaks = {"quick": [seconds, {**seconds, "step": 0.02}]}, {"float32": 1e12}
    *_, row = phases.rates_table({"quick": subject}, measured, peaks).splitlines()
    assert row.startswith("| `quick` | 64 | 4,800 (3,200 to 6,400) | ")
    *_, ticks, total, step = phases.phases_table(measured).splitlines()
    assert ticks == "| ticks | 1.00, 6.7% |" and total == "| sum without ticks | 9.00, 60.0% |"
    assert step == "| step, not wrapped | 15.0 (10.0 to 20.0), 100.0% |"


@pytest.mark.long
@pytest.mark.parametrize("name", ["tutorial", "dcgan", "lightning"])
def test_loops_train_both_networks_on_the_same_number_of_images_as_gancli(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_speed, workload = script("train_speed"), script("workload")
    contest = train_speed.Contest(name, workload.noise(150), 32, 1, 0, scored=False)
    nets: list[Any] = []
    shown: list[int] = []

    def build(spec: Any, seed: int) -> Any:
        nets[:] = models.build_networks(spec, seed)
        nets[1].register_forward_hook(lambda D, args, _: shown.append(len(args[0])))
        return nets

    monkeypatch.setattr(train_speed, "build_networks", build)
    assert contest.theirs(0.2, 1).images_per_s > 0
    assert sum(shown) == 3 * (150 + 64)  # an epoch and two batches: D sees real, fake, and the fakes of the G step
    for trained, fresh in zip(nets, models.build_networks(contest.spec, 1), strict=True):
        assert not any(map(torch.equal, trained.parameters(), fresh.parameters()))
    assert contest.ours(0.2, 1).score is None


def test_a_contest_keeps_its_two_sides_separate(monkeypatch: pytest.MonkeyPatch) -> None:
    train_speed = script("train_speed")
    contest = train_speed.Contest("dcgan", script("workload").noise(100), 8, 1, 0, scored=False)
    theirs, ours = ([train_speed.Trained(rate, score) for score in (3.0, 5.0)] for rate, score in ((100, 1), (250, 1)))
    peak = 250 * contest.flops_per_image() * 4
    spread = "4.00 (3.00 to 5.00)"
    assert train_speed.cells(contest, theirs, ours, peak) == ["100", "250", "2.50", "25%", spread, spread]


@pytest.mark.long
def test_commands_stop_at_their_first_step(tiny_idx: Path) -> None:
    commands, runs = script("whole_commands"), script("runs")
    found = commands.starts(str(tiny_idx), Path("runs"))
    quiet = found[f"`gancli train --quiet`, {commands.FIRST}"]
    assert runs.fresh(*quiet).output == ""
    (run,) = Path("runs").iterdir()
    assert not (run / "metrics.jsonl").exists()
    spent = [runs.Spent(wall_s, 1.0, 100.0, "") for wall_s in (2.0, 4.0)]
    _, row = commands.rows({commands.LOADED: spent, "the same": [*reversed(spent)]})
    assert row == ["the same", "3.00 (2.00 to 4.00)", "1.00", "100", "1.25 (0.500 to 2.00)", "1.00"]


@pytest.mark.long
@pytest.mark.parametrize("what", ["step", "sample", "evaluate"])
def test_the_cost_of_a_point_is_measured(what: str) -> None:
    costs = script("costs")
    found = costs.measure(costs.Point(what, images=500, batch=8, n=100))
    assert found["seconds"] > 0 and {*found} == {costs.SECONDS, costs.MEMORY}


def test_costs_are_drawn_with_their_exponents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = script("costs")

    def in_a_process(point: Any, number: int) -> dict[str, float]:
        size = point.images * point.resolution**2 * point.batch * point.n
        return {costs.SECONDS: 1e-9 * size, costs.MEMORY: size**0.5}

    monkeypatch.setattr(costs, "in_a_process", in_a_process)
    monkeypatch.setattr(sys, "argv", ["costs.py", "--rounds", "2", "--out", "costs.png"])
    costs.main()
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    powers = [line[-2:] for line in lines[2:] if line[-2]]
    assert len(lines) > 30 and powers == [["1.00", "0.50 |"], ["2.00", "1.00 |"], *[["1.00", "0.50 |"]] * 4]
    assert spread_of_pixels(Path("costs.png")) > 20


@pytest.mark.long
def test_processes_average_each_weight_once() -> None:
    scaling = script("scaling")
    alone, shared = (scaling.measured("classic", scaling.Case(n, 1, 1), 0, 8, 2) for n in (1, 2))
    spec = ModelSpec(model="mlp", z_dim=64, g_width=256, d_width=256, resolution=28, channels=1, n_classes=0)
    n_weights = sum(weight.numel() for net in models.build_networks(spec, 0) for weight in net.parameters())
    assert alone["bytes"] == 0 and 4 * n_weights < shared["bytes"] < 4 * n_weights + 100
    assert 0 < shared["talk_s"] < shared["step_s"]


def test_an_estimate_adds_the_parts_that_shrink_with_more_gpus_and_the_fixed_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scaling = script("scaling")
    step = scaling.Step(124e9, 247e9, 4000, 3.35e9, 64)  # 2 ms an image, 20 ms of launches, 1 ms a pass
    monkeypatch.setattr(scaling, "step_of", lambda preset: step)
    monkeypatch.setattr(scaling, "GPUS", (scaling.Gpus(1, 1.0), scaling.Gpus(8, 67e9)))
    one, eight = [row.split(" | ") for row in scaling.estimate(["some"]).splitlines()[2:]]
    assert one[1:] == ["1", "64", "128.0", "20.0", "12.0", "0.0", "457 |"]
    assert eight[1:] == ["8", "8", "16.0", "20.0", "12.0", "87.5", "536 |"]


def test_operations_of_grouped_convolutions_match_a_count_by_hand() -> None:
    """Forward, and backward for x and for the weights, 16 channels in 4 groups: 4 x 3 x 3 products for each output."""
    x, layer = torch.zeros(2, 16, 8, 8, requires_grad=True), torch.nn.Conv2d(16, 16, 3, padding=1, groups=4)
    forward = 2 * (2 * 16 * 8 * 8) * (4 * 3 * 3)
    assert script("workload").flops(lambda: layer(x).sum().backward()) == 3 * forward


def test_settings_of_runs_broken_on_purpose_are_valid() -> None:
    broken = script("broken")
    assert set(broken.RUNS) == {"healthy", "d-wins", "collapse"}
    for settings in broken.RUNS.values():
        values = {**broken.ALL, **settings}
        _, config, _ = presets.resolve_config(values.pop("preset"), {}, values)
        assert config.tick_kimg == 1 and 20 <= config.kimg <= 60
