"""Installing: commands that work for strangers, the package's metadata, the version, and the release workflow."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from gancli import _version

PLACEHOLDER = "https://example.org/someone/gancli"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXT = {".py", ".md", ".jinja", ".html", ".js", ".css", ".cff", ".yml", ".txt", ".toml", ".ipynb"}
INSTALL = r"(?:pip3? install|pipx (?:install|run)|uv tool (?:install|run)|uvx)"
FROM_INDEX = rf"{INSTALL}\s[^`&#]*?(?<![\w/.-])gancli\b(?!')|gancli\["
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
LINK = re.compile(r"\]\(([^)\s]+)\)")


def checked_in() -> list[Path]:
    """All files with text that a user or maintainer may read."""
    folders = [ROOT / name for name in ("gancli", "docs", "scripts", "benchmarks", ".github", ".ci")]
    below = [path for folder in folders if folder.is_dir() for path in folder.rglob("*")]
    return [path for path in (*ROOT.iterdir(), *below) if path.is_file() and path.suffix in TEXT]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("repository", "extra", "card"),
    [
        ("", 'run pip install ".[video]" in gancli\'s source folder', "install gancli from its source checkout"),
        (PLACEHOLDER, 'run pip install "gancli[video]"', "run `pip install gancli`"),
    ],
)
def test_install_hints_follow_the_repository(
    monkeypatch: pytest.MonkeyPatch, repository: str, extra: str, card: str
) -> None:
    monkeypatch.setattr(_version, "REPOSITORY", repository)
    assert _version.install_hint("video") == extra
    assert _version.install_step() == card


def test_only_one_module_builds_install_commands_of_gancli() -> None:
    modules = [path for path in checked_in() if path.is_relative_to(ROOT / "gancli")]
    found = {path.relative_to(ROOT).as_posix() for path in modules if "pip install" in text_of(path)}
    assert found == {"gancli/_version.py"} and len(modules) >= 80


def test_every_install_command_works_where_gancli_is_published() -> None:
    """Without a repository, none takes gancli from the package index, where anyone could register the name. With one,
    no page for users installs an extra from a source folder."""
    files = [path for path in checked_in() if path != Path(_version.__file__)]  # which has both kinds of command
    if _version.REPOSITORY:
        files, wrong = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], r"(?<!-e )\"\.\["
    else:
        wrong = FROM_INDEX
    found = [
        f"{path.relative_to(ROOT)}: {line}" for path in files for line in text_of(path).splitlines()
        if re.search(wrong, line) and not line.startswith('    "gancli[')  # pyproject: the extra dev has all others
    ]  # fmt: skip
    assert not found, "\n".join(found)
    assert len(files) >= 10


@pytest.mark.parametrize(
    "line",
    [
        "pip install gancli",
        'pip install "gancli[video]"',
        "pip install -U gancli",
        "uvx gancli",
        "uv pip install --torch-backend cpu gancli",
        "pipx run gancli",
        "gancli[onnx]",
    ],
)
def test_commands_that_use_the_package_index_are_recognised(line: str) -> None:
    assert re.search(FROM_INDEX, line)


def test_commands_that_use_a_source_folder_are_not_confused_with_the_index() -> None:
    for line in (
        'pip install ".[video]" && gancli train',
        "pip install ../gancli",
        'pip install "." in gancli\'s folder',
    ):
        assert not re.search(FROM_INDEX, line)


def test_version_is_the_same_everywhere() -> None:
    found = load_script("can_publish.py")["find_versions"](ROOT)
    assert {*found} == {"pyproject.toml", "gancli/_version.py", "CITATION.cff", "CHANGELOG.md"}
    assert {*found.values()} == {_version.__version__}
    released = re.search(r"^date-released: (.+)$", text_of(ROOT / "CITATION.cff"), re.M)
    assert released and f"## [{_version.__version__}] - {released[1]}\n" in text_of(ROOT / "CHANGELOG.md")


def load_script(name: str) -> dict[str, object]:
    import runpy

    return runpy.run_path(str(ROOT / "scripts" / name))


def build(tree: Path, target: str, to: Path) -> Path:
    """Build a wheel or sdist; the backend needs no network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(to)]
    end = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    return next(to.glob("*.whl" if target == "wheel" else "*.tar.gz"))


def read_metadata(package: Path) -> EmailMessage:
    """METADATA of a wheel, PKG-INFO of an sdist."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            data = wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")))
    else:
        with tarfile.open(package) as sdist:
            file = sdist.extractfile(
                next(name for name in sdist.getnames() if name.count("/") == 1 and "PKG-INFO" in name)
            )
            assert file
            data = file.read()
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


def unpack(sdist: Path, to: Path, repository: str) -> Path:
    """The source tree of an sdist with this repository."""
    with tarfile.open(sdist) as file:
        file.extractall(to, filter="data")
    tree = next(to.iterdir())
    (tree / "PKG-INFO").unlink()  # it has the metadata of the real repository
    module = tree / "gancli" / "_version.py"
    text, n = re.subn(r'^REPOSITORY = ".*?"', f'REPOSITORY = "{repository}"', text_of(module), flags=re.M)
    assert n == 1
    module.write_text(text, encoding="utf-8")
    return tree


@pytest.mark.slow
def test_without_a_repository_links_stay_relative_and_there_are_no_urls(sdist: Path, tmp_path: Path) -> None:
    tree = unpack(sdist, tmp_path / "tree", "")
    about = read_metadata(build(tree, "wheel", tmp_path))
    assert about.get_all("Project-URL") is None and about.get_all("Home-page") is None
    assert about.get_payload() == text_of(ROOT / "README.md") and "](docs/images/progress.gif)" in about.get_payload()


@pytest.mark.slow
def test_with_a_repository_links_and_pictures_are_absolute(sdist: Path, tmp_path: Path) -> None:
    tree = unpack(sdist, tmp_path / "tree", PLACEHOLDER)
    version = _version.__version__
    for target in ("wheel", "sdist"):
        about = read_metadata(build(tree, target, tmp_path))
        text = about.get_payload()
        assert about["Metadata-Version"] == "2.4"
        links = LINK.findall(text)
        assert len(links) == len(LINK.findall(text_of(ROOT / "README.md"))) >= 10
        assert all(link.startswith("https://") for link in links)
        assert f"]({PLACEHOLDER}/raw/v{version}/docs/images/progress.gif)" in text
        assert f"]({PLACEHOLDER}/blob/v{version}/docs/sampling.md#films)" in text
        paths = [link.removeprefix(f"{PLACEHOLDER}/") for link in links if link.startswith(PLACEHOLDER)]
        files = [path.split(f"/v{version}/")[1].partition("#")[0] for path in paths]
        assert len(files) >= 10 and all((ROOT / name).is_file() for name in files)
        assert dict(url.split(", ") for url in about.get_all("Project-URL")) == {
            "Changelog": f"{PLACEHOLDER}/blob/v{version}/CHANGELOG.md",
            "Documentation": f"{PLACEHOLDER}/blob/v{version}/docs/README.md",
            "Issues": f"{PLACEHOLDER}/issues",
            "Source": PLACEHOLDER,
        }


@pytest.mark.slow
def test_metadata_names_author_systems_and_python_versions(sdist: Path) -> None:
    about = read_metadata(sdist)
    assert about["Metadata-Version"] == "2.4"
    assert about["Author"] == "The gancli authors" and about["Author-email"] is None
    assert about["Description-Content-Type"] == "text/markdown"
    classifiers = about.get_all("Classifier")
    assert {name.rpartition(" :: ")[2] for name in classifiers if name.startswith("Operating System")} == {
        "Linux", "MacOS", "Windows"
    }  # fmt: skip
    assert python_versions() == ["3.11", "3.12", "3.13", "3.14"]


def python_versions() -> list[str]:
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", name) for name in PROJECT["classifiers"]]
    return [match[1] for match in found if match]


@pytest.mark.long
@pytest.mark.slow
def test_a_built_wheel_passes_the_smoke_test(sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = build(unpack(sdist, tmp_path / "tree", ""), "wheel", tmp_path)
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    command = [sys.executable, str(ROOT / "scripts" / "smoke_test.py"), sys.executable, "-m", "gancli"]
    end = subprocess.run(command, capture_output=True, text=True)
    assert end.returncode == 0, end.stdout + end.stderr
    assert end.stdout.endswith(f"gancli {_version.__version__} works\n")


def test_the_smoke_test_reports_a_command_that_fails() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "smoke_test.py"), sys.executable, "-c", "raise SystemExit(3)"]
    end = subprocess.run(command, capture_output=True, text=True)
    assert end.returncode == 1 and "--version exited with 3" in end.stderr


def checkout(to: Path, repository: str, version: str = "1.2.3") -> Path:
    """The files that name the version, and the repository."""
    (to / "gancli").mkdir(parents=True)
    (to / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "can_publish.py", to / "scripts")
    (to / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n', encoding="utf-8")
    (to / "gancli" / "_version.py").write_text(
        f'__version__ = "{version}"\nREPOSITORY = "{repository}"\n', encoding="utf-8"
    )
    (to / "CITATION.cff").write_text("version: 1.2.3\n", encoding="utf-8")
    (to / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n", encoding="utf-8")
    return to


@pytest.mark.parametrize(
    ("repository", "version", "tag", "reason"),
    [
        (PLACEHOLDER, "1.2.3", "v1.2.3", ""),
        ("", "1.2.3", "v1.2.3", "REPOSITORY in gancli/_version.py is empty"),
        ("https://example.org/other", "1.2.3", "v1.2.3", f"but this is {PLACEHOLDER}"),
        (PLACEHOLDER, "1.2.3", "v1.2.4", "the tag is v1.2.4, but the version is 1.2.3"),
        (PLACEHOLDER, "1.2.2", "v1.2.3", "gancli/_version.py: 1.2.2"),
    ],
)
def test_publishing_is_refused_with_a_reason(
    tmp_path: Path, repository: str, version: str, tag: str, reason: str
) -> None:
    script = checkout(tmp_path / "tree", repository, version) / "scripts" / "can_publish.py"
    end = subprocess.run([sys.executable, script, tag, PLACEHOLDER], capture_output=True, text=True)
    assert end.returncode == (1 if reason else 0)
    assert reason in end.stderr and (end.stderr == "") == (reason == "")


def test_release_workflow_publishes_only_what_was_checked() -> None:
    workflow = yaml.safe_load(text_of(WORKFLOW))
    jobs = workflow["jobs"]
    on = workflow[True]  # YAML 1.1 reads the key "on" as true
    assert on["push"] == {"tags": ["v*"]} and workflow["permissions"] == {"contents": "read"}
    assert jobs["smoke"]["needs"] == "build" and jobs["publish"]["needs"] == "smoke"
    build = [step.get("run", "") for step in jobs["build"]["steps"]]
    guard = next(i for i, run in enumerate(build) if run.startswith("python scripts/can_publish.py"))
    assert guard < build.index("python -m build") < build.index("twine check --strict dist/*")
    assert jobs["build"]["steps"][guard]["if"] == jobs["publish"]["if"] == "github.event_name == 'push'"
    matrix = jobs["smoke"]["strategy"]["matrix"]
    assert matrix["system"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert matrix["python"] == python_versions()
    assert any("scripts/smoke_test.py" in step.get("run", "") for step in jobs["smoke"]["steps"])
    assert jobs["publish"]["permissions"] == {"id-token": "write"} and jobs["publish"]["environment"] == "pypi"
    upload = jobs["publish"]["steps"][-1]
    assert upload["uses"].startswith("pypa/gh-action-pypi-publish@") and upload["with"]["attestations"] is True
    assert not any("run" in step for step in jobs["publish"]["steps"])  # nothing else gets the token
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    text = text_of(WORKFLOW)
    assert "secrets." not in text and not re.search(r"run:.*\$\{\{", text)  # a tag's name is never part of a command


def test_workflows_pin_every_action_and_release_is_marked_as_not_run() -> None:
    lines = [line for path in WORKFLOW.parent.glob("*.yml") for line in text_of(path).splitlines() if "uses:" in line]
    pinned = re.compile(r"\s*- uses: [\w-]+/[\w-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40} # v\d+\.\d+\.\d+)")
    assert len(lines) >= 7 and all(map(pinned.fullmatch, lines))
    assert text_of(WORKFLOW).startswith("# Not run yet")
    assert "not run yet" in " ".join(text_of(ROOT / "docs" / "dev" / "releasing.md").lower().split())
