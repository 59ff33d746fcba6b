"""Show a run in a notebook while it trains, and stop it well if the user interrupts it."""

import contextlib
import importlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from gancli.events import Event, Progress
from gancli.files.run_folder import RunDir
from gancli.wording import format_duration
from gancli.workflows import notebook
from gancli.workflows.pace import Pace, describe_failure

LEAST_REST_S = 2.0
Display = Callable[..., Any]  # IPython.display.display
logger = logging.getLogger("gancli")


@contextlib.contextmanager
def show_in_notebook(run: RunDir, *, is_wanted: bool) -> Iterator[Callable[[Event], None]]:
    """Yield a display of events: a live view in a notebook, else nothing. After the block, it shows the run's end.

    The run must not be locked after the block, or it would look as if it were still running.
    """
    display = find_notebook_display() if is_wanted else None
    if display is None:
        yield ignore_event
        return
    view = LiveView(run, display)
    try:
        yield view
    finally:
        view.finish()


def find_notebook_display() -> Display | None:
    """Return IPython's function `display` if this code runs in a notebook cell whose output is shown, else None.

    It never imports IPython into a process that has not done so.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    is_kernel = any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)
    if not is_kernel or not type(sys.stdout).__module__.startswith("ipykernel."):
        return None
    display: Display = importlib.import_module("IPython.display").display
    return display


class LiveView:
    """Draws a run again and again in one place of a notebook."""

    def __init__(self, run: RunDir, display: Display, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.run, self.display, self.pace = run, display, Pace(clock_s, LEAST_REST_S)
        self.handle: Any = None
        self.speed: list[str] = []
        self.has_failed = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            left = [] if event.left_s is None else [f"ETA {format_duration(event.left_s)}"]
            self.speed = [f"{event.images_per_s:,.0f} img/s", *left]
        if self.pace.is_due():
            with self.pace.draw():
                self.draw(self.speed)

    def finish(self) -> None:
        """Show the run as `Run` shows itself, if it was shown before and still exists."""
        if self.handle is not None and self.run.path.is_dir():
            self.draw([])

    def draw(self, speed: list[str]) -> None:
        """Draw the run. The first error is logged and ends the view, but never the training."""
        if self.has_failed:
            return
        try:
            title, facts = notebook.name_run(self.run), notebook.describe_run(self.run, speed)
            shown = {"text/plain": f"{title}: {facts}", "text/html": notebook.show_run(self.run, speed)}
            if self.handle is None:
                self.handle = self.display(shown, raw=True, display_id=True)
            else:
                self.handle.update(shown, raw=True)
        except Exception as err:
            self.has_failed = True
            reason = describe_failure(err)
            logger.warning("cannot show the run in the notebook: %s; training continues without it", reason)


def ignore_event(_: Event) -> None: ...


@contextlib.contextmanager
def stop_on_interrupt(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` at the first Ctrl-C or interrupt of a notebook; the next one raises KeyboardInterrupt immediately.

    Yields the list of interrupts that called `stop`. Does nothing outside the main thread, or if the program has its
    own handler.
    """
    received = list[int]()
    usual = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
        yield received
        return

    def handle(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, usual)
        received.append(number)
        stop()

    signal.signal(signal.SIGINT, handle)
    try:
        yield received
    finally:
        if signal.getsignal(signal.SIGINT) is handle:
            signal.signal(signal.SIGINT, usual)
