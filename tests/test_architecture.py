"""Tests of the imports and calls in the source of every module: which of them are allowed where."""

import ast
import graphlib
from collections.abc import Container, Iterator
from pathlib import Path

import gancli

ROOT = Path(gancli.__file__).parent

GROUND = ("_version", "errors", "platform", "openmp", "wording", "contracts", "datasets", "config", "presets", "events")
CORE = ("core", "core.devices", "core.rng", "core.images", "core.distributed")

# An ordered list: a place -> the places above it that it may import. Each may import itself.
# In the places of LAZY this applies to the top of a file; function bodies there may import anything.
LAYERS: dict[str, tuple[str, ...]] = {
    "_version": (),
    "errors": (),
    "platform": (),
    "openmp": (),
    "wording": (),
    "contracts": ("errors",),
    "datasets": (),
    "config": ("errors", "datasets"),
    "presets": ("errors", "datasets", "config"),
    "events": (),
    "files": GROUND,
    "metrics": (*GROUND, "files"),
    "video": (*GROUND, "files"),
    "report": (*GROUND, "files", "video"),
    "trackers": (*GROUND, "files"),
    "core": GROUND,
    "core.data": (*GROUND, *CORE, "files"),
    "core.networks": (*GROUND, *CORE, "files"),
    "core.sampling": (*GROUND, *CORE, "files", "core.networks"),
    "core.training": (*GROUND, *CORE, "files", "core.data", "core.networks", "core.sampling"),
    "export": (*GROUND, "files", "core", "core.data", "core.networks", "core.sampling", "core.training", "report"),
    "doctor": (*GROUND, "files", "core", "core.data", "core.networks", "core.sampling", "core.training"),
    "workflows": (
        *(*GROUND, "files", "metrics", "video", "report", "trackers"),
        *("core", "core.data", "core.networks", "core.sampling", "core.training"),
    ),
    "api": (
        *(*GROUND, "files", "metrics", "trackers", "workflows"),
        *("core", "core.data", "core.networks", "core.sampling", "core.training"),
    ),
    "cli": (*GROUND, "files", "trackers", "video"),
    "__main__": ("cli",),
    "": ("_version", "openmp"),
}
LAZY = ("", "cli", "datasets")
MOST_LOOSE = 13  # modules outside the packages

# Third-party package -> the places that may import it.
ONLY_IN: dict[str, set[str]] = {
    "fcntl": {"platform"},
    "msvcrt": {"platform"},
    "resource": {"platform"},
    "mmap": {"platform"},
    "imageio": {"files", "video"},
    "msgspec": {"files", "core", "workflows", "trackers"},
    "imageio_ffmpeg": {"video"},
    "typer": {"cli"},
    "rich": {"cli"},
    "click": set(),
    "torch": {"contracts", "core", "metrics", "doctor", "workflows", "api", "export", "trackers", "cli"},
    "tensorboard": set(),
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "matplotlib": set(),
    "jinja2": {"report", "export"},
    "playwright": set(),
    "pickle": set(),
    "cPickle": set(),
    "dill": set(),
    "joblib": set(),
    "marshal": set(),
    "shelve": set(),
}


def module_name(path: Path) -> str:
    """gancli/core/data/__init__.py -> core.data; gancli/__init__.py -> the empty name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def place(module: str) -> str:
    """The line of LAYERS that a module belongs to: the most specific one."""
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next(name for name in names if name in LAYERS)


def is_in(module: str, places: Container[str]) -> bool:
    """Whether the module or one of its parent packages is one of these."""
    parts = module.split(".")
    return any(".".join(parts[:n]) in places for n in range(1, len(parts) + 1))


def imported(node: ast.AST) -> list[str]:
    """Full names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, "imports inside gancli are absolute"
        below = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name.removeprefix("gancli.") in MODULES else node.module for name in below]
    return []


def imports(module: str, *, top_only: bool) -> Iterator[str]:
    """Names imported anywhere in the module, or only those that importing the module imports."""
    waiting: list[ast.AST] = [MODULES[module]]
    while waiting:
        node = waiting.pop()
        yield from imported(node)
        if not (top_only and waits(node)):
            waiting += ast.iter_child_nodes(node)


def waits(node: ast.AST) -> bool:
    """Whether importing the module skips the inside of the node: functions, and code for type checkers."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def own(names: Iterator[str]) -> Iterator[str]:
    for name in names:
        if name.split(".")[0] == "gancli":
            yield name.removeprefix("gancli").removeprefix(".")


def is_lazy(module: str) -> bool:
    return is_in(module, LAZY)


def test_the_list_is_ordered() -> None:
    names = [*LAYERS]
    for name, allowed in LAYERS.items():
        assert {place(other) for other in allowed} <= {*names[: names.index(name)]}, name


def test_modules_import_only_what_the_list_allows() -> None:
    visited, wrong = 0, []
    for module in MODULES:
        visited += 1
        home = place(module)
        for name in own(imports(module, top_only=is_lazy(module))):
            if place(name) not in (home, *LAYERS[home]):
                wrong.append(f"gancli.{module} imports gancli.{name}")
    assert not wrong
    assert visited == len(list(ROOT.rglob("*.py"))) >= 25


def test_every_place_in_the_list_exists() -> None:
    assert {*LAYERS} <= {*MODULES}
    assert {place(module) for module in MODULES} == {*LAYERS}


def test_few_modules_lie_outside_packages_and_each_package_has_a_docstring() -> None:
    assert len(list(ROOT.glob("*.py"))) <= MOST_LOOSE
    packages = [path for path in ROOT.rglob("__init__.py") if path.parent != ROOT]
    assert len(packages) >= 10
    for path in packages:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert "Input: " in text and "Output: " in text and "Read first" in text, path


def test_imports_form_no_cycle() -> None:
    graph = {module: set(own(imports(module, top_only=True))) - {module} for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_third_party_packages_are_imported_only_where_allowed() -> None:
    wrong = []
    for module in MODULES:
        for name in imports(module, top_only=False):
            allowed = ONLY_IN.get(name.split(".")[0])
            if allowed is not None and not is_in(module, allowed):
                wrong.append(f"gancli.{module} imports {name}")
    assert not wrong


def test_the_command_line_imports_nothing_slow_at_the_top() -> None:
    heavy = {"torch", "torchvision", "numpy", "matplotlib", "PIL", "safetensors", "imageio", "jinja2"}
    modules = [module for module in MODULES if is_lazy(module)]
    assert not [(m, n) for m in modules for n in imports(m, top_only=True) if n.split(".")[0] in heavy]
    assert len(modules) >= 3


def test_nothing_loads_code_and_only_the_command_line_prints() -> None:
    calls = 0
    wrong = []
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "torch":
                wrong += [f"{module}: torch.{a.name}" for a in node.names if a.name in ("load", "save")]
            if not isinstance(node, ast.Call):
                continue
            calls += 1
            called = ast.unparse(node.func)
            if called in ("eval", "exec", "torch.load", "torch.save", "torch.jit.load", "__import__"):
                wrong.append(f"{module}: {called}")
            if called == "print" and not is_in(module, {"cli"}):
                wrong.append(f"{module}: print")
            if "allow_pickle" in (k.arg for k in node.keywords if ast.unparse(k.value) != "False"):
                wrong.append(f"{module}: allow_pickle")
    assert not wrong
    assert calls > 100
