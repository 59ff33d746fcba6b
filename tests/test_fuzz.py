"""A few seconds of scripts/fuzz.py, the same examples each time."""

import importlib
import sys
from collections.abc import Callable

import pytest
from conftest import ROOT

from gancli.errors import FileFormatError

sys.path.insert(0, str(ROOT / "scripts"))
fuzz = importlib.import_module("fuzz")


@pytest.mark.parametrize("name", fuzz.properties())
def test_a_parser_accepts_or_refuses_any_input(name: str) -> None:
    run: Callable[[int, bool], None] = fuzz.properties()[name]
    with fuzz.confined():
        run(15, True)


def test_a_refusal_because_of_memory_counts_as_a_bug() -> None:
    def act(cause: Exception) -> None:
        try:
            raise cause
        except Exception as err:
            raise FileFormatError("it does not fit") from err

    fuzz.refused(lambda: act(ValueError("size")))
    for cause in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        with pytest.raises(AssertionError, match="memory"):
            fuzz.refused(lambda cause=cause: act(cause))
