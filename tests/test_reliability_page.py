"""docs/dev/reliability.md names a test for each promise."""

import re

from conftest import ROOT

PAGE = ROOT / "docs" / "dev" / "reliability.md"


def test_each_promise_names_tests_that_exist() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    promises = [row for row in rows if row[0] != "| promise"]
    assert len(promises) >= 15
    for promise, shown in promises:
        names = re.findall(r"`([^`]+\.(?:py|txt)[^`]*)`", shown)
        assert names, promise
        for name in names:
            path, _, test = name.partition("::")
            file = next(each for each in (ROOT / path, ROOT / "tests" / path) if each.is_file())
            assert f"def {test}(" in file.read_text(encoding="utf-8") if test else True, name
