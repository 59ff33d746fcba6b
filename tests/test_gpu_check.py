"""scripts/gpu_check: the table, the comparisons, and the guard around each part. Offline, without a GPU."""

import ast
import importlib
import json
import math
import re
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT

from gancli import presets
from gancli.core.training.losses import LOSSES

SCRIPT = ROOT / "scripts" / "gpu_check"


@pytest.fixture(autouse=True)
def from_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.gpu.{name}")


def made_up_rows() -> list[Any]:
    rows = module("rows")
    return [
        rows.Row("machine", "device", "measured", "A | B"),
        rows.within("equality", "mlp", 2e-7, 1e-4),
        rows.within("equality", "conv", math.nan, 1e-4, "two\nlines"),
        rows.skipped("graphs", "CUDA graph", "only CUDA has them"),
        rows.failed("resume", "RuntimeError: out of luck"),
    ]


def test_the_table_has_every_row_and_names_each_part_once() -> None:
    page = module("rows").format_markdown("GPU check", ["First.", "Second."], made_up_rows())
    head, *lines = page.splitlines()
    assert head == "# GPU check" and lines[1:5] == ["First.", "", "Second.", ""]
    assert lines[5] == "| part | what | result | value | compared with | note |"
    assert lines[7:] == [
        "| machine | device | measured | A \\| B |  |  |",
        "| equality | mlp | passed | 2.0e-07 | at most 1e-04 |  |",
        "|  | conv | failed | nan | at most 1e-04 | two lines |",
        "| graphs | CUDA graph | skipped |  |  | only CUDA has them |",
        "| resume | whole part | failed | failed: RuntimeError: out of luck |  |  |",
    ]


def test_the_json_has_the_same_rows_with_numbers() -> None:
    found = json.loads(module("rows").format_json({"device": "cuda"}, made_up_rows()))
    assert found["device"] == "cuda" and found["results"] == {"measured": 1, "passed": 1, "failed": 2, "skipped": 1}
    assert [row["what"] for row in found["rows"]] == ["device", "mlp", "conv", "CUDA graph", "whole part"]
    assert found["rows"][1]["numbers"] == {"difference": 2e-7, "tolerance": 1e-4}
    assert found["rows"][2]["numbers"]["difference"] is None


def test_only_failed_rows_make_the_exit_code_1() -> None:
    rows = module("rows")
    good = [row for row in made_up_rows() if row.result != "failed"] + [rows.Row("waits", "step.py:1", "finding")]
    assert rows.exit_code(good) == 0 and rows.exit_code(made_up_rows()) == rows.exit_code([]) == 1
    assert rows.describe_counts(made_up_rows()) == "1 passed, 2 failed, 1 measured, 1 skipped"


def test_rows_survive_the_way_from_the_process_of_their_part() -> None:
    rows = module("rows")
    for row in made_up_rows()[:2]:
        assert rows.parse_line(rows.format_line(row)) == row


def test_differences_are_relative_to_each_tensor_but_not_to_rounding_errors() -> None:
    difference = module("compare").largest_difference
    reference = {"large": torch.tensor([30.0, 40.0]), "zero": torch.tensor([0.0]), "some": torch.tensor([2.0])}
    assert difference(reference, reference) == (0.0, "large")
    found = {**reference, "some": torch.tensor([2.5])}
    assert difference(found, reference) == (0.25, "some")
    found = {**reference, "zero": torch.tensor([0.05])}  # relative to a hundredth of 50
    assert difference(found, reference) == (pytest.approx(0.1), "zero")
    found = {**reference, "large": torch.tensor([math.nan, 40.0]), "some": torch.tensor([9.0])}
    assert math.isnan(difference(found, reference)[0])
    with pytest.raises(ValueError, match="same tensors"):
        difference({"large": reference["large"]}, reference)
    with pytest.raises(ValueError, match="large: expected"):
        difference({**reference, "large": torch.tensor([1.0])}, reference)


def test_equality_covers_every_network_loss_and_penalty() -> None:
    equality = module("equality")
    models = {name for config in presets.PRESETS.values() for name in [config.model]}
    assert {*equality.NETWORKS} == models == {"mlp", "conv", "resnet"}
    assert [*equality.PENALTIES] == ["none", "R1", "R1 and R2", "gradient penalty"] and len(LOSSES) == 5
    for loss in LOSSES:
        for penalty in equality.PENALTIES.values():
            settings = equality.bounded({"loss": loss, **penalty})
            assert settings.get("spectral_norm", False) == (loss == "wasserstein" and "gradient_penalty" not in penalty)


@pytest.mark.slow
def test_a_wrong_step_on_the_device_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    equality, cpu = module("equality"), torch.device("cpu")
    settings = equality.bounded({"loss": "wasserstein", "gamma": 1.0})
    right = equality.make_step("mlp", settings, equality.ON_CPU, cpu)
    exact = equality.make_step("mlp", settings, equality.ON_CPU, cpu, torch.float64)
    assert 0 < equality.difference(right, exact) < 1e-5
    assert equality.difference(equality.make_step("mlp", settings, equality.ON_CPU, cpu), right) == 0
    wrong = equality.make_step("mlp", settings | {"gamma": 1.01}, equality.ON_CPU, cpu)
    assert equality.difference(wrong, right) > equality.TOLERANCE
    assert equality.adam_difference(cpu) == 0


@pytest.mark.slow
def test_calls_that_would_wait_on_a_gpu_are_found_with_their_line() -> None:
    waits = module("waits")
    x = torch.ones(3)
    found = waits.record_calls(lambda: [x.sum().item(), x[x > 0], bool(x.any()), x + 1])
    assert found == {f"outside gancli ({name})": 1 for name in ("item", "__getitem__", "__bool__")}
    line = traceback.FrameSummary(str(ROOT / "gancli" / "core" / "rng.py"), 12, "generator")
    other = traceback.FrameSummary("/elsewhere/torch.py", 3, "item")
    assert waits.describe_place(traceback.StackSummary.from_list([line, other])) == "gancli/core/rng.py:12"


@pytest.mark.slow
@pytest.mark.parametrize("case", ["classic", "quick", "r3gan-32", "other settings"])
def test_no_step_waits_for_a_gpu_as_far_as_python_shows(case: str) -> None:
    waits, workload = module("waits"), module("workload")
    preset, settings = waits.CASES[case]
    small = {"g_width": 8, "d_width": 8, "batch_size": 4}
    data = workload.random_data(preset, side=8, n=100)
    record = workload.build_record(preset, data, torch.device("cpu"), **{**settings, **small})
    engine = importlib.import_module("gancli.core.training.engine").Engine(record, data)
    (row,) = waits.list_waits(case, engine)
    assert row.result == "passed" and row.numbers["n"] == 0


def test_the_files_with_marked_tests_are_found() -> None:
    found = module("marked_tests").marked_files(ROOT / "tests")
    assert found == [ROOT / "tests/unit/core/training/test_gpu.py"]


def test_tests_are_reported_with_the_reason_why_they_failed_or_were_skipped() -> None:
    case = '<testcase name="{}" time="0.25">{}</testcase>'
    cases = [
        case.format("good", ""),
        case.format("bad", '<failure message="assert 1 == 2">...</failure>'),
        case.format("left", '<skipped message="needs CUDA, not cpu"/>'),
    ]
    good, bad, left = module("marked_tests").parse_report(
        f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"
    )
    assert (good.result, good.value) == ("passed", "0.2 s")
    assert (bad.result, bad.value) == ("failed", "failed: assert 1 == 2")
    assert (left.result, left.note) == ("skipped", "needs CUDA, not cpu")


FAKE = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from benchmarks.gpu.rows import Row, format_line
output, name = Path(sys.argv[sys.argv.index("--rows") + 1]), sys.argv[-1]
output.write_text(format_line(Row(name, "first", "passed")) + "\\n" + '{{"part": "half a li')
if name == "slow":
    time.sleep(60)
if name == "crash":
    sys.exit("Segmentation fault")
if name == "fine":
    output.write_text(format_line(Row(name, "first", "passed")) + "\\nend\\n")
    time.sleep(60)  # a process that has given its last row need not end in time
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fine", None),
        ("crash", "failed: exit code 1: Segmentation fault"),
        ("slow", "failed: stopped after its time limit of 3 s"),
    ],
)
def test_a_part_that_crashes_or_hangs_keeps_its_rows_and_becomes_a_failed_one(
    name: str, said: str | None, tmp_path: Path
) -> None:
    script = tmp_path / "fake.py"
    script.write_text(FAKE.format(root=str(ROOT)))
    first, *rest = module("runner").run_part(name, "cpu", 60.0 if name == "crash" else 3.0, script)
    assert first == module("rows").Row(name, "first", "passed")
    assert [row.value for row in rest] == ([said] if said else [])


def test_an_error_names_its_place() -> None:
    runner = module("runner")
    try:
        module("compare").largest_difference({}, {})
    except ValueError as err:
        said = runner.describe_error(err)
    assert re.fullmatch(r"ValueError: expected the same tensors, got \[\] \(benchmarks/gpu/compare\.py:\d+\)", said)


def test_the_other_parts_run_when_one_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner, rows, called = module("runner"), module("rows"), []

    def run_part(name: str, device: str, limit_s: float) -> list[Any]:
        called.append(name)
        return [rows.failed(name, "no luck") if name == "resume" else rows.Row(name, "all", "passed")]

    monkeypatch.setattr(runner, "run_part", run_part)
    assert runner.main("usage", ["--device", "cpu", "-o", str(tmp_path / "out")]) == 1
    assert called == [part.name for part in runner.PARTS] and len(called) >= 11
    page = (tmp_path / "out" / "gpu_check.md").read_text()
    assert "**No CUDA GPU was used.**" in page and page in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "gpu_check.json").read_text())["results"] == {"passed": 10, "failed": 1}
    assert runner.main("usage", ["--device", "cpu", "-o", str(tmp_path / "out"), "--parts", "waits"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gpu_check.json", "gpu_check.md"]


def test_every_part_has_a_module_and_every_preset_is_known() -> None:
    runner = module("runner")
    known = re.findall(r'^    "(\w+)": "(\w+)",$', (ROOT / "benchmarks/gpu/parts.py").read_text(), re.M)
    assert {part.name.split()[0] for part in runner.PARTS} == {name for name, _ in known}
    assert all((ROOT / "benchmarks" / "gpu" / f"{file}.py").exists() for _, file in known)
    assert {part.name.partition(" ")[2] for part in runner.PARTS} - {""} <= {*presets.PRESETS}


@pytest.mark.long
@pytest.mark.slow
def test_the_script_runs_from_any_folder() -> None:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--parts", "machine", "-o", "found"]
    end = subprocess.run(command, capture_output=True, text=True)
    assert end.returncode == 0 and "| machine | gancli | measured | " in end.stdout, end.stderr
    assert (ast.get_docstring(ast.parse(SCRIPT.read_text())) or "").startswith("Check gancli on a GPU")


def test_a_missing_device_and_a_bad_folder_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    main = module("runner").main
    Path("file").write_text("")
    assert main("usage", ["--device", "cpu", "-o", "file"]) == 1
    assert capsys.readouterr().err.startswith("error: cannot make the folder file: ")
    if not torch.cuda.is_available():
        assert main("usage", ["--device", "cuda", "-o", "found"]) == 2 and not Path("found").exists()
        assert capsys.readouterr().err.startswith("error: --device cuda is not available")
