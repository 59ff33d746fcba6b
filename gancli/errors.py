"""All errors that a user can cause, in one tree; each has the exit code of the command line."""

import difflib
from collections.abc import Iterable

MAX_MESSAGE_LENGTH = 1000
MIN_TYPO_LENGTH = 3  # shorter words are similar to too many others


class GancliError(Exception):
    """A failure the user can understand and fix; its text is one line saying what, where and what to do."""

    exit_code = 1


class ConfigError(GancliError):
    """Settings that cannot be right, alone or together."""

    exit_code = 2


class DataError(GancliError):
    """Training data that is missing, unreadable or unsuitable."""


class RunError(GancliError):
    """A run folder that is missing, busy, or cannot be written."""


class FileFormatError(GancliError):
    """A model or checkpoint file that another program or a newer version wrote, or that is damaged."""


class DamagedFileError(FileFormatError):
    """A file whose contents have changed since it was written."""


class ContractError(GancliError):
    """A call whose arguments break the function's contract."""


class MemoryLimitError(GancliError):
    """A batch or networks that do not fit into memory."""


class LostProcessError(GancliError):
    """Processes of one job that lost contact."""


class DivergedError(GancliError):
    """Training produced numbers that are not finite."""


def make_printable(text: str, longest: int = MAX_MESSAGE_LENGTH) -> str:
    """The text in one line of limited length, with control characters escaped so that no terminal obeys them."""
    text = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the closest known word and all known words: ' (did you mean 'quick'? known: classic, quick)'."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5) if len(word) >= MIN_TYPO_LENGTH else []
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f" ({guess}known: {', '.join(names)})"
