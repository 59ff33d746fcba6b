"""Who may import whom, and what nobody may use, read from the source of every file."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import gancli

ROOT = Path(gancli.__file__).parent
PURE = {"errors", "contracts", "wording", "core.*"}

# Module -> what it may import inside gancli. The most specific name counts; `x.*` is all below x.
# In LAZY modules this holds for the top of the file; bodies of functions there may import anything.
MAY_IMPORT: dict[str, set[str]] = {
    "": set(),
    "api": {
        *("errors", "config", "presets", "events", "places", "rundir", "trackers", "training", "evaluation"),
        *("core.*", "metrics"),
    },
    "__main__": {"cli.app"},
    "errors": set(),
    "events": set(),
    "wording": set(),
    "config": {"errors"},
    "presets": {"config", "errors"},
    "provenance": {"", "config", "errors", "rundir"},
    "rundir": {"config", "errors"},
    "outputs": {"errors", "provenance", "rundir"},
    "diagnosis": {"", "rundir"},
    "contracts": {"errors"},
    "media": {"errors", "rundir"},
    "films": {"errors", "outputs", "provenance", "media", "films.*"},
    "films.*": {"config", "errors", "media", "films.*"},
    "core": set(),
    "core.*": PURE,
    "core.rng": set(),
    "core.named": PURE | {"rundir"},
    "core.models": PURE | {"config"},
    "core.modelfile": PURE | {"config", "rundir"},
    "core.checkpoint": PURE | {"config", "rundir"},
    "core.state": PURE | {"config"},
    "core.health": PURE | {"config"},
    "core.schedules": PURE | {"config"},
    "core.scaling": PURE | {"config"},
    "core.records": PURE | {"", "config", "presets", "rundir"},
    "core.sources": PURE | {"rundir"},
    "core.imagefiles": PURE | {"rundir"},
    "core.start": PURE | {"config", "rundir"},
    "core.gallery": PURE | {"config", "rundir", "media"},
    "core.samples": PURE | {"config", "media", "outputs", "provenance"},
    "core.walks": PURE | {"config", "media"},
    "core.ingest": PURE | {"rundir"},
    "core.engine": PURE | {"config"},
    "core.rehearsal": PURE | {"config"},
    "core.benchmark": PURE | {"presets"},
    "core.trainer": PURE | {"config", "events", "rundir"},
    "places": {"errors", "rundir", "core.sources"},
    "evaluation": {"errors", "config", "core.*", "metrics", "metrics.*", "report.*", "rundir"},
    "training": {*("config", "errors", "events", "presets", "rundir", "evaluation", "trackers"), "core.*", "report.*"},
    "followers": {"core.*", "evaluation", "metrics.*"},
    "metrics": {"errors", "contracts", "metrics.*"},
    "metrics.*": {"errors", "contracts", "wording", "metrics.*", "rundir"},
    "report": set(),
    "report.timing": {"config", "errors"},
    "report.repeat": {"config", "errors", "wording", "rundir", "report.*"},
    "report.*": {"errors", "wording", "rundir", "media", "films", "films.*", "report.*"},
    "export": set(),
    "export.*": {"", "errors", "outputs", "core.*"},
    "export.hub": {"", "config", "outputs", "provenance", "rundir", "core.*", "export.*"},
    "export.card": {"errors", "wording", "rundir", "core.*", "report.*"},
    "trackers": {"errors", "events", "trackers.*"},
    "trackers.*": {"events", "media", "rundir"},
    "cli": set(),
    "cli.animate": {"config", "errors", "outputs", "provenance", "report.timing", "rundir", "cli.*"},
    "cli.*": {
        *(
            "",
            "errors",
            "events",
            "wording",
            "config",
            "presets",
            "outputs",
            "places",
            "provenance",
            "rundir",
            "trackers",
        ),
        "cli.*",
    },
}
LAZY = ("", "cli.*")

# Package from outside -> the modules that may import it.
ONLY_IN: dict[str, set[str]] = {
    "imageio": {"media", "films.*"},
    "imageio_ffmpeg": {"films.mp4"},
    "typer": {"cli.*"},
    "rich": {"cli.*"},
    "click": set(),
    "torch": {"contracts", "core.*", "metrics.*", "evaluation", "followers", "api", "export.*", "trackers.*", "cli.*"},
    "tensorboard": set(),
    "onnx": {"export.onnx"},
    "onnxruntime": {"export.onnx"},
    "matplotlib": {"report.*"},
    "jinja2": {"report.*"},
    "playwright": set(),
    "pickle": set(),
    "cPickle": set(),
    "dill": set(),
    "joblib": set(),
    "marshal": set(),
    "shelve": set(),
}


def module_name(path: Path) -> str:
    """gancli/core/models/__init__.py -> core.models; gancli/__init__.py -> the empty name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def matches(module: str, pattern: str) -> bool:
    return module == pattern or (pattern.endswith(".*") and f"{module}.".startswith(pattern[:-1]))


def rule(module: str) -> str:
    """The key of MAY_IMPORT that is closest to the module."""
    return max((key for key in MAY_IMPORT if matches(module, key)), key=lambda key: (key == module, len(key)))


def imported(node: ast.AST) -> list[str]:
    """Full names of the modules that one statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, "imports inside gancli are absolute"
        below = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name.removeprefix("gancli.") in MODULES else node.module for name in below]
    return []


def imports(module: str, *, top_only: bool) -> Iterator[str]:
    """Names imported anywhere in the module, or only where importing the module itself would import them."""
    waiting: list[ast.AST] = [MODULES[module]]
    while waiting:
        node = waiting.pop()
        yield from imported(node)
        if not (top_only and waits(node)):
            waiting += ast.iter_child_nodes(node)


def waits(node: ast.AST) -> bool:
    """Whether importing the module leaves the inside of the node for later, or for type checkers."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def own(names: Iterator[str]) -> Iterator[str]:
    for name in names:
        if name.split(".")[0] == "gancli":
            yield name.removeprefix("gancli").removeprefix(".")


def is_lazy(module: str) -> bool:
    return any(matches(module, pattern) for pattern in LAZY)


def test_modules_import_only_what_the_table_allows() -> None:
    visited, wrong = 0, []
    for module in MODULES:
        visited += 1
        allowed = MAY_IMPORT[rule(module)]
        for name in own(imports(module, top_only=is_lazy(module))):
            if not any(matches(name, pattern) for pattern in allowed):
                wrong.append(f"gancli.{module} imports gancli.{name}")
    assert not wrong
    assert visited == len(list(ROOT.rglob("*.py"))) >= 25


def test_every_line_of_the_table_with_a_plain_name_is_about_a_file_that_exists() -> None:
    assert {key for key in MAY_IMPORT if not key.endswith(".*")} <= set(MODULES)


def test_imports_form_no_cycle() -> None:
    graph = {module: set(own(imports(module, top_only=True))) - {module} for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_packages_from_outside_stay_where_they_belong() -> None:
    wrong = []
    for module in MODULES:
        for name in imports(module, top_only=False):
            allowed = ONLY_IN.get(name.split(".")[0])
            if allowed is not None and not any(matches(module, pattern) for pattern in allowed):
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
            if called == "print" and not matches(module, "cli.*"):
                wrong.append(f"{module}: print")
            if "allow_pickle" in (k.arg for k in node.keywords if ast.unparse(k.value) != "False"):
                wrong.append(f"{module}: allow_pickle")
    assert not wrong
    assert calls > 100
