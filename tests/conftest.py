"""Every test runs offline, in an empty folder that is its home, on one thread."""

import os
import re
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

# Libraries read these once at import: no colours, no forced terminal, no second thread.
for name in ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS"):
    os.environ.pop(name, None)
os.environ.update(NO_COLOR="1", TERM="dumb", COLUMNS="100", OMP_NUM_THREADS="1")

ROOT = Path(__file__).resolve().parent.parent
LABELS = 3
SLOW = re.compile(  # files whose tests train, or take seconds, for example to start processes
    r"cli/test_(animate|doctor|dry_run|errors|evaluate|fashion_mnist|init|interpolate|library|live|log|one_picture|"
    r"places|preview|processes|render|report|runs|sample|shown_commands|train)\.py|"
    r"unit/core/training/test_(adam|autotune|broken_runs|checkpoint|finetune|gpu|precision|trainer|trial)\.py|"
    r"unit/(core/test_distributed|core/data/test_pixel_cache|export/test_onnx|metrics/test_(features|frechet|kernel)|"
    r"report/test_(page|plots))\.py|"
    r"strangers/test_(evaluate_data|home_folder|images_without_content|moved_data|own_outputs|splits)\.py|"
    r"test_(benchmarks|data_page|fault_injection|fuzz|golden|packaging|systems)\.py"
)
SLOW_FIXTURES = {"run"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden/*.json and tests/cli/errors.txt from what is computed now",
    )
    parser.addoption(
        "--gpu-device",
        choices=("auto", "cuda", "mps", "cpu"),
        default="auto",
        help="device of tests marked gpu; cpu tries the tests themselves, except those that need CUDA",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, so that scripts/check --fast skips them."""
    for item in items:
        fixtures = {*getattr(item, "fixturenames", ())}
        if SLOW.match(item.path.relative_to(ROOT / "tests").as_posix()) or fixtures & SLOW_FIXTURES:
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def offline_and_alone(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("tests have no network")

    for function in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, function, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # for child processes: nothing listens there

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # child processes import the gancli that is tested
    home = tmp_path / "home"
    home.mkdir()
    for variable in ("HOME", "GANCLI_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(home))
    monkeypatch.chdir(tmp_path)
    if commands := sys.modules.get("commands"):
        commands.STORE = tmp_path_factory.getbasetemp() / "trained"
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # files of tests need not survive a power cut
    if (engine := sys.modules.get("gancli.core.training.engine")) and not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(engine.Engine, "step", not_marked)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
        torch.set_flush_denormal(False)


def not_marked(*_: object) -> None:
    raise AssertionError("this test trains: mark it as slow, or name its file in conftest.SLOW")


def idx_bytes(shape: tuple[int, ...], content: bytes) -> bytes:
    """An IDX file of unsigned bytes: magic 00 00 08 ndim, big-endian sizes, content in row-major order."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + content


def tiny_pixels(index: int) -> bytes:
    """8x8 grey: a horizontal bar of two rows whose height gives the label and its brightness the index."""
    top = 1 + 2 * (index % LABELS)
    value = 100 + index * 37 % 156
    return b"".join(bytes([value if row in (top, top + 1) else 0] * 8) for row in range(8))


@pytest.fixture
def tiny_idx(tmp_path: Path) -> Path:
    """A folder of IDX files: 64 training and 32 test pictures, 8x8 grey, label = index mod 3."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for split, n in (("train", 64), ("t10k", 32)):
        pixels = b"".join(map(tiny_pixels, range(n)))
        labels = bytes(index % LABELS for index in range(n))
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes((n, 8, 8), pixels))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes((n,), labels))
    return folder


@pytest.fixture
def gpu(request: pytest.FixtureRequest) -> Any:
    """The device of tests marked gpu, a torch.device; skips the test if there is none."""
    import torch

    name = request.config.getoption("--gpu-device")
    if name == "auto":
        is_there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        name = next((device for device, is_available in is_there.items() if is_available), None)
    if name is None:
        pytest.skip("there is no CUDA or MPS device")
    return torch.device(name)


@pytest.fixture
def cuda(gpu: Any) -> Any:
    """The device of tests that need CUDA."""
    if gpu.type != "cuda":
        pytest.skip(f"needs CUDA, not {gpu.type}")
    return gpu


@pytest.fixture
def run(tiny_idx: Path) -> Path:
    """For tests/cli: a trained run of tiny_idx."""
    from commands import trained

    return trained(tiny_idx, "--kimg", "0.1")
