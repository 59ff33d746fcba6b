"""docs/dev/data.md against the code: its errors can be given, all that the code gives are there, its numbers hold."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import gancli
from gancli import config
from gancli.core.data import archive, dataset, decode, npz_array, statistics, transform
from gancli.datasets import DATASETS

PAGE = (Path(__file__).parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
CODE = Path(gancli.__file__).parent
GAP = "…"
SCORED_ONLY = {CODE / "core" / "data" / name for name in ("image_files.py", "resize.py")}
READERS = {*(CODE / "core" / "data").glob("*.py"), CODE / "files" / "cache.py"} - SCORED_ONLY
OURS = ("DataError", "DownloadError", "ConfigError", "RunError", "MemoryLimitError", "SourceError")


def errors(path: Path) -> list[set[str]]:
    """For each error that a file can raise, the fixed parts of its text; names are looked up where they are set."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [
        set(fixed(node.exc.args[0], [*scope.body, *tree.body]))
        for scope in scopes
        for node in ast.walk(scope)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args
        if ast.unparse(node.exc.func) in OURS
    ]


def fixed(value: ast.expr, scope: list[ast.stmt]) -> Iterator[str]:
    """The literal texts in an expression, and in what gave the names in it their values."""
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Name):
            for place in (inner for statement in scope for inner in ast.walk(statement)):
                if isinstance(place, ast.Assign) and ast.unparse(place.targets[0]) == node.id:
                    texts = (inner for inner in ast.walk(place.value) if isinstance(inner, ast.Constant))
                    yield from (text.value for text in texts if isinstance(text.value, str))


def is_told_by(error: set[str], row: str) -> bool:
    """Whether a row of the page is this error: word by word, or with gaps between parts that are all in it."""
    if GAP not in row:
        return row in map(str.strip, error)
    parts = [part.strip() for part in row.split(GAP) if part.strip(" ,;")]
    return all(any(part in text for text in error) for part in parts)


def said(heading: str) -> list[str]:
    """The first cells of the table below a heading, without their backticks."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)


def rows() -> list[str]:
    return said("What is wrong with a file") + said("Errors")


def test_every_error_on_the_page_is_one_that_the_code_can_give() -> None:
    known = [error for path in CODE.rglob("*.py") for error in errors(path)]
    assert [row for row in rows() if not any(is_told_by(error, row) for error in known)] == []
    assert len(rows()) >= 50 and len(known) > 100


def test_every_error_of_reading_data_is_on_the_page() -> None:
    found = [error for path in READERS for error in errors(path) if any(map(str.strip, error))]
    assert [error for error in found if not any(is_told_by(error, row) for row in rows())] == []
    assert len(found) >= 50


def test_the_numbers_on_the_page_are_those_of_the_code() -> None:
    most_mib, most_pixels = archive.LARGEST_BYTES >> 20, f"{decode.MOST_PIXELS / 1e6:.0f} million"
    told = [
        f"more than {most_mib} MiB or {most_pixels} pixels",
        f"more than {most_pixels}, or than {decode.MOST_BYTES >> 20} MiB of them",
        f"an npz of more than {npz_array.MOST_IMAGES / 1e6:.0f} million images",
        f"packed more than {archive.MOST_DEFLATED} times into more than {archive.SMALL_BYTES >> 20} MiB",
        f"at most {config.MOST_CLASSES:,} work",
        f"a multiple of 4 from {transform.LOWEST} to {transform.HIGHEST}",
        f"from {transform.LOWEST_AUTO} to {transform.HIGHEST_AUTO}",
        f"Fewer than {dataset.FEWEST_IMAGES} usable",
        f"under {dataset.FEWEST_TO_HOLD_OUT} images none are held out",
        f"at most {dataset.MOST_HELD_OUT:,}, is never trained on",
        f"Under about {statistics.FEW_IMAGES:,} images",
        f"With fewer than {statistics.FEWEST_TO_SCORE} held out",
    ]
    page = " ".join(PAGE.split())
    assert [number for number in told if number not in page] == []
    assert config.TrainConfig(kimg=1.0).max_bad == 10 and "Up to ten bad files" in page


def test_flags_and_names_on_the_page_exist() -> None:
    flags = set(re.findall(r"`(--[a-z-]+)", PAGE))
    known = {config.flag_name(name) for name in config.setting_fields()} | {
        "--unconditional",
        "--dry-run",
        "--resume",
        "--data",
    }
    assert flags <= known and len(flags) >= 9
    names = PAGE.split("| a name | ")[1].split(" | ")[0]
    assert set(re.findall("`(.+?)`", names)) <= set(DATASETS)


def files_with(*texts: str) -> set[str]:
    """The files of the package that name any of these in code."""
    return {
        str(path.relative_to(CODE))
        for path in CODE.rglob("*.py")
        if any(
            isinstance(node, ast.Constant) and node.value in texts
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }


def test_a_data_set_is_one_row_and_one_file_and_so_is_an_image_format() -> None:
    """As docs/dev/extending.md says: what else is known of them is joined from their tables."""
    assert files_with("cifar10") - {"doctor/diagnosis.py"} == {"datasets.py", "core/data/cifar.py"}
    assert files_with("stacked-mnist") == {"datasets.py", "core/data/stacked_mnist.py"}
    for name, one in decode.IMAGE_FORMATS.items():
        if name not in ("PNG", "WebP", "GIF"):  # which gancli also writes
            assert files_with(name, *one.extensions) == {"core/data/decode.py"}, name
    assert len(DATASETS) >= 6 and len(decode.IMAGE_FORMATS) >= 6
