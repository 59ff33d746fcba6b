"""Where a training reports beside its run folder: `gancli train --log NAME`. docs/dev/trackers.md shows how to add one.

A tracker is told what the run is, then each event of gancli.events, and when there will be no more.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gancli.errors import ConfigError, did_you_mean
from gancli.events import Event, RunStarted

if TYPE_CHECKING:
    from gancli.files.run_config import RunConfig

NONE = "none"


class Tracker(Protocol):
    """May raise anything: it is not called again then, and training goes on. To make one does nothing yet."""

    def start(self, record: "RunConfig", run: Path, nimg: int) -> None:
        """Once, before all events. record: what config.json holds, of which gancli.files.run_config.to_json makes plain
        values; run: the folder; nimg: images seen, above 0 if the run goes on, and what was reported of later ones does
        not hold any more."""

    def event(self, event: Event) -> None:
        """The files that an event speaks of are on disk."""

    def end(self) -> None:
        """Once after `start`, however training ended."""


def tensorboard() -> Tracker:
    try:
        from gancli.trackers.tensorboard import TensorBoard
    except ImportError as err:
        raise ConfigError('--log tensorboard needs tensorboard; pip install "gancli[tensorboard]"') from err
    return TensorBoard()


TRACKERS: dict[str, Callable[[], Tracker]] = {"tensorboard": tensorboard}


def create_tracker(name: str) -> Tracker | None:
    """The tracker of this name. Raises ConfigError where there is none, or it needs what is not installed."""
    if name == NONE:
        return None
    if name not in TRACKERS:
        raise ConfigError(f"unknown tracker {name!r}{did_you_mean(name, [*TRACKERS, NONE])}")
    return TRACKERS[name]()


def tracker_of_run(record: "RunConfig", warn: Callable[[str], None]) -> Tracker | None:
    """The one that a run has, which may not be there any more; `warn` is told then."""
    try:
        return create_tracker(record.log or NONE)
    except ConfigError as err:
        warn(f"{err}; going on without")
        return None


@contextlib.contextmanager
def track_events(
    tracker: Tracker | None, record: "RunConfig", warn: Callable[[str], None]
) -> Iterator[Callable[[Event], None]]:
    """What to call with each event of a run while the block lasts. The first failure of the tracker is the last one:
    `warn` is told, and nobody else notices."""
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
            warn(f"--log stopped: {reason}; training goes on without it")

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
