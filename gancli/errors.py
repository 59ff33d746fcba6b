"""All errors that a user can fix, with their exit codes on the command line."""

import difflib
from collections.abc import Iterable

MAX_MESSAGE_LENGTH = 1000
MOST_KNOWN = 60  # words that a hint lists
MIN_TYPO_LENGTH = 3  # shorter words are similar to too many others


class GancliError(Exception):
    """An error that the user can understand and fix. Its text is one line: what is wrong, where, and what to do."""

    exit_code = 1


class ConfigError(GancliError):
    """A setting is invalid, or several settings cannot be combined."""

    exit_code = 2


class DataError(GancliError):
    """Training data is missing, unreadable or unsuitable."""


class RunError(GancliError):
    """A run folder is missing, in use, or cannot be written."""


class FileFormatError(GancliError):
    """A model or checkpoint file is damaged, or was written by another program or a newer version."""


class DamagedFileError(FileFormatError):
    """The contents of a file have changed since it was written."""


class ContractError(GancliError):
    """The arguments of a call break the function's contract."""


class MemoryLimitError(GancliError):
    """A batch or the networks do not fit into memory."""


class LostProcessError(GancliError):
    """Processes of one job have lost contact."""


class DivergedError(GancliError):
    """Training has produced numbers that are not finite."""


def make_printable(text: str, longest: int = MAX_MESSAGE_LENGTH) -> str:
    """Return the text in one line of limited length; control characters are escaped, so terminals ignore them."""
    text = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint with the closest and the known words: ' (did you mean 'quick'? known: classic, quick)'."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5) if len(word) >= MIN_TYPO_LENGTH else []
    guess = f"did you mean {close[0]!r}? " if close else ""
    others = f" and {len(names) - MOST_KNOWN:,} others" if len(names) > MOST_KNOWN else ""
    return f" ({guess}known: {', '.join(names[:MOST_KNOWN])}{others})"
