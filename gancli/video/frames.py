"""Checks on the frames of a film, and the changes between them."""

from collections.abc import Iterable, Iterator

import numpy as np

from gancli.errors import ContractError
from gancli.files.image_io import Picture, check_picture


def check_frames(frames: Iterable[Picture], n: int) -> Iterator[Picture]:
    """Yield the frames. Raises ContractError unless there are exactly n >= 1 pictures of one shape."""
    shape, count = None, 0
    for count, frame in enumerate(frames, start=1):
        check_picture(frame)
        shape = shape or frame.shape
        if frame.shape != shape:
            raise ContractError(f"frames must have one shape, got {shape} and {frame.shape}")
        if count > n:
            raise ContractError(f"{n} durations given, but more frames")
        yield frame
    if count == 0:
        raise ContractError("a film needs at least one frame")
    if count < n:
        raise ContractError(f"{n} durations given, but {count} frames")


def frame_changes(frames: Iterable[Picture], step: int = 1) -> Iterator[tuple[int, int, Picture]]:
    """Yield x, y and the smallest rectangle that changes from one frame to the next.

    x and y are multiples of step. The first frame is complete. A frame equal to the one before becomes its first pixel,
    so it keeps its own time.
    """
    before = None
    for frame in frames:
        x = y = 0
        bottom, right = frame.shape[:2]
        if before is not None:
            differs = (frame != before).reshape(bottom, right, -1).any(axis=2)
            rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
            if rows.size:
                y, x = rows[0] // step * step, columns[0] // step * step
                bottom, right = rows[-1] + 1, columns[-1] + 1
            else:
                bottom = right = 1
        yield int(x), int(y), frame[y:bottom, x:right]
        before = frame
