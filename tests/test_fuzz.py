"""A few seconds of scripts/fuzz.py, the same examples each time."""

import importlib
import sys
from collections.abc import Callable

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
fuzz = importlib.import_module("fuzz")


@pytest.mark.parametrize("name", fuzz.properties())
def test_a_parser_refuses_or_reads_whatever_there_is(name: str) -> None:
    run: Callable[[int, bool], None] = fuzz.properties()[name]
    run(15, True)
