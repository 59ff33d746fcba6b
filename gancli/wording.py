"""Format numbers and lists for people to read."""

from collections.abc import Sequence


def format_significant(value: float | None) -> str:
    """Format with three digits: '0.0123', '1.23', '123', '1,234'; '1.23e+06' from a million on; '' for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e6 else f"{value:#.3g}"


def format_about(value: float) -> str:
    """Format with two digits: 'about 0.35', 'about 11', 'about 1,200'."""
    return f"about {float(f'{value:.2g}'):,.12g}"


def format_list(names: Sequence[str], most: int) -> str:
    """Join names: 'a, b, c', or 'a, b and 4 others' if there are more than `most`."""
    others = len(names) - most
    if others <= 0:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {others:,} other{'s' if others > 1 else ''}"


def format_count(n: int, noun: str) -> str:
    """Format a number with its noun: '1 picture', '2,000 pictures'."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Format seconds as a duration: 75 -> '1m15s'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
