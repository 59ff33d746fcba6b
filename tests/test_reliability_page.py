"""docs/reliability.md names a test for each promise."""

import re

from conftest import ROOT

PAGE = ROOT / "docs" / "reliability.md"


def test_each_promise_names_tests_that_are_there() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    promises = [row for row in rows if row[0] != "| promise"]
    assert len(promises) >= 15
    for promise, shown in promises:
        paths = re.findall(r"`([^`]+)`", shown)
        assert paths or shown.startswith("the same"), promise
        for path in paths:
            assert (ROOT / path).is_file() or (ROOT / "tests" / path).is_file(), path
