import pytest
from run_configs import make_run_config

from gancli.core import devices
from gancli.core.data.dataset import ImageSet
from gancli.core.training import autotune, machine_notes
from gancli.files.run_config import RunConfig


def has_fast_bf16(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(devices, "has_fast_bf16", lambda: answer)


@pytest.mark.parametrize(("threads", "n_notes"), [(1, 0), (2, 0), (3, 1)])
def test_more_threads_than_cores_have_a_note(monkeypatch: pytest.MonkeyPatch, threads: int, n_notes: int) -> None:
    has_fast_bf16(monkeypatch, False)
    monkeypatch.setattr(devices, "count_cores", lambda: 2)
    found = machine_notes.machine_notes(make_run_config(machine={"threads": threads}))
    assert found == ["3 threads share 2 cores and slow each other down; use --threads 2"] * n_notes


@pytest.mark.parametrize(
    ("is_fast", "source", "device", "is_offered"),
    [
        (True, "preset quick", "cpu", True),
        (True, "flag", "cpu", False),
        (True, "preset quick", "cuda", False),
        (False, "preset quick", "cpu", False),
    ],
)
def test_bf16_is_offered_where_the_processor_has_it_and_nobody_chose_a_precision(
    monkeypatch: pytest.MonkeyPatch, is_fast: bool, source: str, device: str, is_offered: bool
) -> None:
    has_fast_bf16(monkeypatch, is_fast)
    record = make_run_config(machine={"device": device}, sources={"precision": source})
    assert any("--precision auto" in note for note in machine_notes.machine_notes(record)) == is_offered


def test_a_processor_is_asked_for_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, expected in (({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda found=found: found)
        assert devices.has_fast_bf16() is expected


@pytest.mark.parametrize(
    ("precision", "is_fast", "rates", "expected"),
    [
        ("bf16", False, {"bf16": 20.0, "float32": 50.0}, ["2.50 times slower"]),
        ("bf16", False, {"bf16": 60.0, "float32": 50.0}, []),
        ("bf16", True, {}, []),
        ("float32", False, {}, []),
    ],
)
def test_a_chosen_bf16_that_is_slower_has_a_note_with_the_factor(
    monkeypatch: pytest.MonkeyPatch, precision: str, is_fast: bool, rates: dict[str, float], expected: list[str]
) -> None:
    has_fast_bf16(monkeypatch, is_fast)

    def measure(record: RunConfig, data: ImageSet) -> float:
        return rates[record.machine.precision]

    monkeypatch.setattr(autotune, "full_batch_rate", measure)
    record = make_run_config(train={"precision": precision}, machine={"precision": precision})
    found = machine_notes.slow_bf16_notes(record, None)  # type: ignore[arg-type]
    assert len(found) == len(expected) and all(text in note for text, note in zip(expected, found, strict=True))
