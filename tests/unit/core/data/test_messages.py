"""Each error about data says in one line what is wrong and, after a semicolon, what to do."""

import ast
import re
from pathlib import Path

from gancli.core import data
from gancli.core.data import decode, fast_png

FILES = sorted(Path(data.__file__).parent.glob("*.py"))
WRAPPED = {"cifar.py"}  # load_cifar10 adds the fix


def raised_texts(path: Path) -> list[str]:
    """The text of each DataError that a file raises; texts that only wrap another error are skipped."""
    arguments = [
        node.exc.args[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args
        if ast.unparse(node.exc.func) == "DataError"
    ]
    is_own = [not any(isinstance(part, ast.Name) and part.id == "err" for part in ast.walk(one)) for one in arguments]
    return [
        ast.unparse(one) for one, own in zip(arguments, is_own, strict=True) if own and not isinstance(one, ast.Name)
    ]


def test_every_error_says_what_to_do() -> None:
    texts = [(path.name, text) for path in FILES if path.name not in WRAPPED for text in raised_texts(path)]
    assert [one for one in texts if not re.search(r"; [\w{]|format_faults", one[1])] == []
    assert len(texts) >= 45


def test_every_reason_of_a_bad_picture_says_what_to_do() -> None:
    for reason in (fast_png.TRUNCATED, fast_png.DAMAGED, decode.NOT_A_PICTURE, decode.UNSUPPORTED_LAYOUT):
        wrong, fix = reason.split("; ")
        assert wrong and fix and len(reason) < 60
