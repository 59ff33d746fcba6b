"""Every command shown in the README and the docs, held against the command line (cli/test_shown_commands.py runs those
that take seconds). Links lead somewhere, and pictures are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from conftest import ROOT
from typer.testing import CliRunner

from gancli import presets
from gancli.cli.app import app

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
QUICK = {"gancli --version", "gancli --help"}
OTHERS = {"--rdzv-id", "--nnodes", "--max-restarts", "--signal", "--strict"}  # of torchrun, timeout and twine
OTHERS |= {"--update-golden"}  # of pytest
LARGEST_PICTURE = 200_000
USER_PAGES = sorted((ROOT / "docs").glob("*.md"))
GENERATED = {ROOT / "docs" / "cli.md", ROOT / "docs" / "cli-train.md"}  # made from the commands themselves
MOST_WORDS, MOST_WORDS_PER_PAGE = 6_000, 1_200  # without generated pages, which grow with the options
FOREIGN = r"\b(anew|so many|go(es)? on with|of which|besides|otherwise than)\b"  # phrases to avoid
MOST_FOREIGN = 5


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def shell_lines(page: Path) -> Iterator[str]:
    """Lines of sh blocks, with continued ones joined."""
    for block in re.findall(r"^```sh\n(.*?)^```", text_of(page), re.M | re.S):
        yield from block.replace("\\\n", " ").splitlines()


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `gancli` of every command in a sh block, and in backticks in the text."""
    if page in GENERATED or page.name == "CHANGELOG.md":  # which also names old commands
        return
    for line in shell_lines(page):
        words = shlex.split(line, comments=True)
        for command in split(words, {"&&", "||", ";", "|"}):
            command = list(dropwhile_assignment(command))
            if command[:1] == ["gancli"]:
                yield command[1:]
            elif "-m" in command and command[command.index("-m") + 1] == "gancli":
                rest = command[command.index("-m") + 2 :]
                yield rest[1:] if rest[:1] == ["--"] else rest
    prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)
    for code in re.findall(r"`(gancli [a-z-][^`]*)`", prose):
        yield shlex.split(" ".join(code.split()))[1:]


def split(words: list[str], separators: set[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word in separators:
            yield part
            part = []
        else:
            part.append(word)
    yield part


def dropwhile_assignment(words: list[str]) -> Iterator[str]:
    """Without `NAME=value` in front."""
    is_front = True
    for word in words:
        is_front = is_front and re.match(r"[A-Z_]+=", word) is not None
        if not is_front:
            yield word


def parse(words: list[str]) -> str:
    """What is wrong with a command, or nothing: its own parser reads the words, and nothing is run."""
    group = typer.main.get_command(app)
    if not words or words[0].startswith("-"):
        return ""
    if words[0] not in group.commands:
        return f"there is no command {words[0]}"
    command = group.commands[words[0]]
    try:
        found = command.make_context(words[0], words[1:], resilient_parsing=False)
    except typer.Exit:
        return ""  # --help
    except Exception as err:
        return str(err) or repr(err)
    preset = found.params.get("preset")
    return f"there is no preset {preset}" if preset and preset not in presets.PRESETS else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_on_a_page_are_ones_that_the_command_line_takes(page: Path) -> None:
    wrong = {" ".join(words): said for words in commands(page) if (said := parse(words))}
    assert wrong == {}


def test_commands_are_found_and_a_wrong_one_is_seen() -> None:
    found = [words for page in PAGES for words in commands(page)]
    assert len(found) >= 120 and {"train", "sample", "evaluate", "animate", "interpolate"} <= {w[0] for w in found if w}
    assert any(
        "--nproc-per-node" not in words and words[:1] == ["train"] for words in commands(ROOT / "docs/dev/scaling.md")
    )
    for wrong in (["trian"], ["train", "--learning-rate", "1"], ["train", "--kimg", "many"], ["train", "a", "b"]):
        assert parse(wrong)
    assert parse(["train", "--preset", "quik"]) and not parse(["sample", "RUN", "--n", "4"])


def test_flags_named_in_the_text_exist() -> None:
    """benchmarks.md aside, whose scripts have flags of their own."""
    group = typer.main.get_command(app)
    params = [param for command in (group, *group.commands.values()) for param in command.params]
    known = {flag for param in params for flag in (*param.opts, *param.secondary_opts)} | {"--help"} | OTHERS
    seen, wrong = 0, []
    for page in PAGES:
        if page.name == "benchmarks.md":
            continue
        for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)):
            if not code.startswith(("python", "scripts/")):
                flags = re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code)
                seen += len(flags)
                wrong += [f"{page.name}: {flag}" for flag in flags if flag not in known]
    assert wrong == [] and seen >= 150


def test_quick_commands_run() -> None:
    shown = {"gancli " + " ".join(words) for page in PAGES for words in commands(page)}
    assert shown >= QUICK
    for command in QUICK:
        end = CliRunner().invoke(app, command.split()[1:])
        assert end.exit_code == 0 and "gancli" in end.stdout.lower()


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_and_pictures_lead_somewhere() -> None:
    seen, wrong = 0, []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
            if target.startswith(("http", "mailto:")):
                continue
            seen += 1
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
                wrong.append(f"{page.name}: {target}")
    assert wrong == [] and seen >= 60


def test_every_page_is_reached_from_the_readme_by_links() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        targets = {
            (page.parent / target.split("#")[0]).resolve()
            for page in new
            for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page))
        }
        new = {path for path in targets if path.suffix == ".md" and path.is_file()} - reached
    assert {*PAGES} <= reached


def test_pages_for_users_are_short() -> None:
    words = {page.name: len(text_of(page).split()) for page in USER_PAGES if page not in GENERATED}
    assert len(words) >= 9 and max(words.values()) <= MOST_WORDS_PER_PAGE, words
    assert sum(words.values()) <= MOST_WORDS, words


def test_phrases_that_are_not_plain_english_are_rare() -> None:
    files = [*PAGES, *(ROOT / "gancli").rglob("*.py"), *(ROOT / "gancli").rglob("*.jinja")]
    texts = {path: re.sub(r"\s+(# )?", " ", text_of(path)) for path in files}  # a phrase may be wrapped
    found = [f"{path.name}: {match[0]}" for path, text in texts.items() for match in re.finditer(FOREIGN, text, re.I)]
    assert len(files) >= 100 and len(found) <= MOST_FOREIGN, found


def test_pictures_of_troubleshooting_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("run-*"))
    assert len(pictures) >= 6 and max(path.stat().st_size for path in pictures) < LARGEST_PICTURE
