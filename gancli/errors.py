"""Everything a user can cause: one tree of errors, each with the exit code the command line ends with."""

import difflib
from collections.abc import Iterable

MAX_MESSAGE_LENGTH = 1000
MIN_TYPO_LENGTH = 3  # shorter words resemble anything


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
    """A model or checkpoint file that is foreign, damaged or from a newer version."""


class DamagedFileError(FileFormatError):
    """A file whose contents are not what was written."""


class ContractError(GancliError):
    """A call whose arguments do not fit the function's contract."""


class MemoryLimitError(GancliError):
    """A batch or networks that do not fit into memory."""


class LostProcessError(GancliError):
    """Processes that worked together and cannot any more."""


class DivergedError(GancliError):
    """Training produced numbers that are not finite."""


def make_printable(text: str, longest: int = MAX_MESSAGE_LENGTH) -> str:
    """The text in one line, not too long, that no terminal takes for a command: control characters are written out."""
    text = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint naming the closest known word, then all of them: ' (did you mean 'quick'? known: classic, quick)'."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5) if len(word) >= MIN_TYPO_LENGTH else []
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f" ({guess}known: {', '.join(names)})"
