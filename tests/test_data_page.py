"""docs/data.md against the code: its errors can be given, its flags and names exist."""

import ast
import re
from pathlib import Path

import gancli
from gancli import config
from gancli.core.named import SOURCES

PAGE = (Path(__file__).parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
GAP = "…"


def literal_texts() -> set[str]:
    """The fixed parts of all texts in the code; what an f-string fills in lies between two."""
    texts = set()
    for path in Path(gancli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return texts


def said(heading: str) -> list[str]:
    """The first cells of the table below a heading, without their backticks."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)


def test_every_error_on_the_page_is_one_that_the_code_can_give() -> None:
    texts, visited = literal_texts(), 0
    for error in said("What is wrong with a file") + said("Errors"):
        visited += 1
        for part in filter(None, (part.strip() for part in error.split(GAP))):
            assert any(part in text for text in texts), f"no text in the code holds {part!r} of {error!r}"
    assert visited >= 35


def test_every_reason_that_decoding_a_file_gives_is_on_the_page() -> None:
    reasons = set()
    for name in ("picturefile", "png"):
        path = Path(gancli.__file__).parent / "core" / f"{name}.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "DataError":
                texts = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
                reasons |= {text.strip() for text in texts if isinstance(text, str) and text.strip()}
    page = {error.replace(f"{GAP} ", "") for error in said("What is wrong with a file")}
    assert reasons <= page
    assert len(reasons) >= 6


def test_flags_and_names_on_the_page_exist() -> None:
    flags = set(re.findall(r"`(--[a-z-]+)", PAGE))
    known = {config.flag(name) for name in config.fields()} | {"--unconditional", "--dry-run", "--resume", "--data"}
    assert flags <= known and len(flags) >= 9
    names = PAGE.split("| a name | ")[1].split(" | ")[0]
    assert set(re.findall("`(.+?)`", names)) <= set(SOURCES)
