"""Training in a notebook: the live view, with a stand-in for IPython, and interrupts."""

import io
import logging
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import SMALL

import gancli
from gancli import events
from gancli.files.run_folder import RunDir
from gancli.workflows import live, notebook, pace


class ZMQInteractiveShell:
    """Stands in for the shell of ipykernel; a hosted notebook has a class below it."""


class HostedShell(ZMQInteractiveShell):
    pass


class TerminalInteractiveShell:
    pass


class OutStream(io.StringIO):
    """Stands in for the output of a notebook cell."""


OutStream.__module__ = "ipykernel.iostream"


class Screen:
    """Stands in for IPython.display: keeps what each display has shown. Each has a place of its own."""

    def __init__(self) -> None:
        self.places: list[list[dict[str, str]]] = []

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> object:
        assert raw and display_id and set(data) == {"text/plain", "text/html"}
        shown = [data]
        self.places.append(shown)

        def update(data: dict[str, str], *, raw: bool) -> None:
            assert raw
            shown.append(data)

        return types.SimpleNamespace(update=update)


@pytest.fixture
def notebook_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], Screen]:
    def pretend(shell: object) -> Screen:
        screen = Screen()
        for name, contents in (
            ("IPython", {"get_ipython": lambda: shell}),
            ("IPython.display", {"display": screen.display}),
        ):
            module = types.ModuleType(name)
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(sys, "stdout", OutStream())
        return screen

    return pretend


@pytest.fixture
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("shell", [ZMQInteractiveShell(), HostedShell()])
def test_a_notebook_shows_training_in_one_place_and_ends_with_what_the_run_shows(
    tiny_idx: Path, notebook_of: Callable[[object], Screen], monkeypatch: pytest.MonkeyPatch, shell: object
) -> None:
    screen = notebook_of(shell)
    monkeypatch.setattr(pace, "REST_FACTOR", 0)
    monkeypatch.setattr(live, "LEAST_REST_S", 0.0)
    run = gancli.train(tiny_idx, kimg=0.5, tick_kimg=0.1, **SMALL)
    (shown,) = screen.places
    pages = [data["text/html"] for data in shown]
    assert len(pages) > 5 and pages[-1] == run._repr_html_()
    assert all(" running " in page for page in pages[:-1]) and " finished " in pages[-1]
    assert "Curves of" not in pages[0] and "Curves of" in pages[-2]
    samples = {page.split('alt="Samples"')[0].rpartition('src="')[2] for page in pages}
    assert len(samples) > 2, "the samples follow the frames"
    assert shown[-1]["text/plain"].startswith("00000-quick-tiny: quick on tiny · finished · 0.5 of 0.5 kimg")


def test_only_a_notebook_cell_gets_a_live_view(
    notebook_of: Callable[[object], Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = notebook_of(ZMQInteractiveShell())
    assert live.find_notebook_display() == screen.display
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert live.find_notebook_display() is None
    for shell in (TerminalInteractiveShell(), None):
        notebook_of(shell)
        assert live.find_notebook_display() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert live.find_notebook_display() is None


def test_the_live_view_can_be_turned_off(tiny_idx: Path, notebook_of: Callable[[object], Screen]) -> None:
    screen = notebook_of(ZMQInteractiveShell())
    gancli.train(tiny_idx, kimg=0.1, live=False, **SMALL)
    assert not screen.places


def test_drawing_takes_a_hundredth_of_the_time_and_happens_at_most_every_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, drawn = [0.0], list[float]()
    view = live.LiveView(RunDir(Path("run")), lambda *_, **__: None, lambda: now[0])

    def draw(speed: list[str]) -> None:
        assert speed == ["1,650 img/s", "ETA 2m18s"]
        drawn.append(now[0])
        now[0] += 0.01 if len(drawn) < 3 else 0.1

    monkeypatch.setattr(view, "draw", draw)
    for second in range(30):
        now[0] = max(now[0], float(second))
        view(events.Progress(1000, 4000, 1650.0, 138.0))
    assert drawn == [0, 2, 4, 15, 26]  # from the third on: 0.1 s, then 10 s of rest


def test_an_error_in_drawing_is_told_once_and_does_not_end_training(
    tiny_idx: Path,
    notebook_of: Callable[[object], Screen],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    screen = notebook_of(ZMQInteractiveShell())
    monkeypatch.setattr(pace, "REST_FACTOR", 0)
    monkeypatch.setattr(live, "LEAST_REST_S", 0.0)

    def fail(*_: object) -> str:
        raise MemoryError("no room")

    monkeypatch.setattr(notebook, "show_run", fail)
    with caplog.at_level(logging.WARNING, "gancli"):
        run = gancli.train(tiny_idx, kimg=0.2, **SMALL)
    told = [record.getMessage() for record in caplog.records if "notebook" in record.getMessage()]
    assert told == ["cannot show the run in the notebook: MemoryError: no room; training continues without it"]
    assert run.metrics and not screen.places


def test_an_interrupt_saves_the_run_leaves_the_last_view_and_is_raised_again(
    tiny_idx: Path,
    notebook_of: Callable[[object], Screen],
    interruptible: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    screen = notebook_of(ZMQInteractiveShell())

    def interrupt(event: events.Event) -> None:
        if isinstance(event, events.FrameSaved) and event.nimg > 100:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.WARNING, "gancli"):
        gancli.train(tiny_idx, kimg=1000, on_event=interrupt, **SMALL)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    path = Path("runs/00000-quick-tiny")
    run = gancli.Run(path)
    (shown,) = screen.places
    assert shown[-1]["text/html"] == run._repr_html_() and " stopped " in shown[-1]["text/html"]
    saved = max(int(found.stem.rpartition("-")[2]) for found in path.glob("checkpoint-*"))
    assert saved > 100 and (path / "progress.gif").exists()
    assert caplog.messages[-1] == f"stopped; continue with gancli.train(resume='{path}')"
    assert gancli.train(resume=path, kimg=saved / 1000 + 0.1).metrics[-1]["nimg"] > saved


def test_a_second_interrupt_ends_at_once_and_other_handlers_are_kept(interruptible: None) -> None:
    stops = list[None]()
    with pytest.raises(KeyboardInterrupt), live.stop_on_interrupt(lambda: stops.append(None)) as received:
        signal.raise_signal(signal.SIGINT)
        assert received == [signal.SIGINT] and len(stops) == 1
        signal.raise_signal(signal.SIGINT)
    assert len(stops) == 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with live.stop_on_interrupt(lambda: stops.append(None)) as received:
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN and not received


def test_outside_the_main_thread_interrupts_are_left_alone(interruptible: None) -> None:
    found = list[object]()

    def enter() -> None:
        with live.stop_on_interrupt(lambda: None) as received:
            found.append(received)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [[]]


def test_a_run_that_was_removed_is_not_drawn_at_the_end(tmp_path: Path) -> None:
    drawn = list[object]()
    view = live.LiveView(RunDir(tmp_path / "gone"), lambda *shown, **_: drawn.append(shown))
    view.handle = object()
    view.finish()
    assert drawn == [] and not view.has_failed
