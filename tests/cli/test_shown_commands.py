"""The commands of the README and the guides that take seconds, run unchanged on a run of ten tiny classes."""

import shutil
import sys
from pathlib import Path

import pytest
from commands import gancli, trained
from conftest import ROOT, idx_bytes, tiny_pixels

sys.path.insert(0, str(ROOT / "tests"))
from test_docs import commands

pytestmark = pytest.mark.long

USER_PAGES = ("getting-started", "your-images", "sampling", "scores", "sharing", "troubleshooting")
PAGES = ("README.md", *(f"docs/{name}.md" for name in USER_PAGES))
QUICK = ("sample", "interpolate", "animate", "evaluate", "report", "export", "runs", "doctor")
RUNS = [f"runs/{number:05}-quick-mnist-5k" for number in range(4)]
NAMES = {"RUN": RUNS[0], "RUN_A": RUNS[0], "RUN_B": RUNS[1], "CLASSIC": RUNS[0], "QUICK": RUNS[1]}
NAMES |= {"MODEL": "model.safetensors", "50000": "500"}
ELSEWHERE = {"mnist", "theirs.npz", "mean-shift,frechet", "other/"}  # data, files and metrics that do not exist here


@pytest.fixture
def runs() -> None:
    """Four equal runs under the names that the pages use, and a model next to them."""
    folder = Path("ten")
    folder.mkdir()
    for split, n in (("train", 120), ("t10k", 40)):
        pixels = b"".join(map(tiny_pixels, range(n)))
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes((n, 8, 8), pixels))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes((n,), bytes(index % 10 for index in range(n))))
    run = trained(folder, "--kimg", "0.2")
    for name in RUNS:
        shutil.copytree(run, name)
        shutil.copy(Path(name) / "model.safetensors", Path(name) / "model-best.safetensors")
    shutil.rmtree(run)
    shutil.copy(Path(RUNS[0]) / "model.safetensors", "model.safetensors")


@pytest.mark.parametrize("page", PAGES)
def test_quick_commands_of_a_page_run_in_order(page: str, runs: None) -> None:
    n_run, failed = 0, []
    for words in commands(ROOT / page):
        if "--like" in words and not Path(words[words.index("--like") + 1]).exists():
            continue
        if words[:1] and words[0] in QUICK and not ELSEWHERE & {*words}:
            end = gancli(*(NAMES.get(word, word) for word in words))
            n_run += 1
            if end.exit_code:
                failed.append(f"gancli {' '.join(words)}\n{end.output[-300:]}")
    assert not failed, "\n".join(["", *failed])
    assert n_run >= 1
