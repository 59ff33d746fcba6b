"""Extract series from metrics.jsonl for plots and films, and choose axis ranges for them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gancli.files.json_values import get_number

Values = npt.NDArray[np.float64]
Record = Mapping[str, Any]  # a JSON object from a file, possibly damaged or from another version


def metric_series(records: Sequence[Record], key: str) -> tuple[Values, Values]:
    """Return kimg [n] and values [n] of one measurement; lines without it are skipped."""
    found = [(record["nimg"] / 1000, value) for record in records if (value := get_number(record, key)) is not None]
    kimg, values = zip(*found, strict=True) if found else ((), ())
    return np.array(kimg, np.float64), np.array(values, np.float64)


def drop_partial_mean(records: Sequence[Record], kind: str) -> list[Record]:
    """Return the records of a kind; drop the last if it spans less than half an interval, because it is too noisy."""
    found = [record for record in records if record.get("kind") == kind]
    ends = [record["nimg"] for record in found[-3:]]
    is_cut = len(ends) == 3 and 2 * (ends[2] - ends[1]) < ends[1] - ends[0]
    return found[:-1] if is_cut else found


def drawable_points(
    records: Sequence[Record], key: str, low: float = -math.inf, high: float = math.inf
) -> tuple[Values, Values]:
    """Return metric_series without values that are not finite or lie outside [low, high]."""
    kimg, values = metric_series(records, key)
    kept = np.isfinite(values) & (values >= low) & (values <= high)
    return kimg[kept], values[kept]


def smooth_centred(values: Values) -> Values:
    """Return the centred moving average over a tenth of the points; near both ends, over fewer points."""
    n = len(values)
    reaches = [min(n // 20, max(i, n // 60), max(n - 1 - i, n // 60)) for i in range(n)]
    return np.array([values[max(0, i - reach) : i + reach + 1].mean() for i, reach in enumerate(reaches)])


def smooth_trailing(values: Values) -> Values:
    """Return the moving average over the last tenth of the points so far; later points do not change it."""
    return np.array([values[i - i // 10 : i + 1].mean() for i in range(len(values))])


def axis_limits(groups: Sequence[Values], ideals: Sequence[float]) -> tuple[float, float]:
    """Return a range that shows all ideals and groups, without spikes; it starts at 0 if no value is negative."""
    finite = [group[np.isfinite(group)] for group in groups if np.isfinite(group).any()]
    high = max([*map(typical_maximum, finite), *ideals], default=1.0)
    low = min([*(-typical_maximum(-group) for group in finite), *ideals, 0.0])
    room = 0.08 * (high - low or 1.0)
    return (low - room if low < 0 else low), high + room


def log_axis_limits(values: Sequence[float]) -> tuple[float, float]:
    """Return a log-scale range of one decade or more that shows all values above 0, within 1e-12 to 1e12."""
    positive = [math.log10(min(max(value, 1e-12), 1e12)) for value in values if value > 0]
    low, high = min(positive, default=0.0), max(positive, default=0.0)
    room = max(0.06 * (high - low), (1 - (high - low)) / 2)
    return 10 ** (low - room), 10 ** (high + room)


def typical_maximum(values: Values) -> float:
    """Return the largest value up to three times the median magnitude, or the 90th percentile if that is larger."""
    usual = values[values <= 3 * np.median(np.abs(values))]
    return float(max([*usual, np.percentile(values, 90, method="lower")]))
