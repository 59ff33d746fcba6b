"""The table of trackers for `gancli train --log NAME`. docs/dev/trackers.md shows how to add one.

A tracker receives the config of the run, then each event of gancli.events, then a call of `end`.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gancli._version import install_hint
from gancli.errors import ConfigError, did_you_mean
from gancli.events import Event, RunStarted

if TYPE_CHECKING:
    from gancli.files.run_config import RunConfig

NONE = "none"


class Tracker(Protocol):
    """A tracker, which logs the events of a run. Its constructor must do nothing.

    If a method raises, the tracker is not called again and training continues.
    """

    def start(self, record: "RunConfig", run: Path, nimg: int) -> None:
        """Start logging. Called once, before all events.

        record: the content of config.json; gancli.files.run_config.to_json converts it to plain values. run: the run
        folder. nimg: images seen. If it is above 0, the run is resumed, and everything logged after nimg is obsolete.
        """

    def event(self, event: Event) -> None:
        """Log one event. The files that it names are already on disk."""

    def end(self) -> None:
        """Finish logging. Called once after `start`, even if training failed."""


def tensorboard() -> Tracker:
    try:
        from gancli.trackers.tensorboard import TensorBoard
    except ImportError as err:
        raise ConfigError(f"--log tensorboard needs tensorboard; {install_hint('tensorboard')}") from err
    return TensorBoard()


TRACKERS: dict[str, Callable[[], Tracker]] = {"tensorboard": tensorboard}


def create_tracker(name: str) -> Tracker | None:
    """Create the tracker with this name. Raises ConfigError if it is unknown or its package is missing."""
    if name == NONE:
        return None
    if name not in TRACKERS:
        raise ConfigError(f"unknown tracker {name!r}{did_you_mean(name, [*TRACKERS, NONE])}")
    return TRACKERS[name]()


def tracker_of_run(record: "RunConfig", warn: Callable[[str], None]) -> Tracker | None:
    """Create the tracker that a run was started with; if that fails, call `warn` and return None."""
    try:
        return create_tracker(record.log or NONE)
    except ConfigError as err:
        warn(f"{err}; continuing without it")
        return None


@contextlib.contextmanager
def track_events(
    tracker: Tracker | None, record: "RunConfig", warn: Callable[[str], None]
) -> Iterator[Callable[[Event], None]]:
    """Yield a function that must be called with each event of a run.

    After the first failure, the tracker is not called again; `warn` gets the reason, and nothing else is affected.
    """
    alive, is_started = tracker, False

    def attempt(call: Callable[[Tracker], None]) -> None:
        nonlocal alive
        if alive is None:
            return
        try:
            call(alive)
        except Exception as err:
            alive = None
            reason = " ".join(str(err).split()) or type(err).__name__
            warn(f"--log stopped: {reason}; training continues without it")

    def tell(event: Event) -> None:
        nonlocal is_started
        if isinstance(event, RunStarted):
            is_started = True
            attempt(lambda tracker: tracker.start(record, event.run, event.nimg))
        attempt(lambda tracker: tracker.event(event))

    try:
        yield tell
    finally:
        if is_started:
            attempt(lambda tracker: tracker.end())
