"""Write docs/cli.md and docs/cli-train.md from the commands; with --check, exit 1 unless both are up to date."""

import inspect
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from gancli.cli.app import app

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- made by scripts/cli_docs.py; edit the commands, then run it again -->"
NOT_OURS = {"help", "install_completion", "show_completion"}
SHARED_BY = 3  # commands with the same option; below, each command describes it


def own_params(command: Any) -> list[Any]:
    return [p for p in command.params if p.name not in NOT_OURS and not getattr(p, "hidden", False)]


def is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def argument_name(param: Any) -> str:
    name = param.metavar or param.name.upper()
    name += "..." if param.nargs == -1 else ""
    return name if param.required else f"[{name.strip('[]')}]"


def names(param: Any) -> str:
    """The flags with their metavar: `--device auto|cpu|cuda|mps`."""
    if is_argument(param):
        return f"`{argument_name(param).strip('[]')}`"
    flags = [*param.opts, *param.secondary_opts]
    return ", ".join(f"`{flag}{f' {param.metavar}' if param.metavar and flag == flags[0] else ''}`" for flag in flags)


def text(words: str | None) -> str:
    return inspect.cleandoc((words or "").split("\f")[0])


def description(param: Any) -> str:
    """The help of an option, which ends with its default if it has one."""
    words = " ".join(text(param.help).split())
    value = param.default
    if param.show_default is False or value is None or "[default:" in words or (value is False and not is_pair(param)):
        return words
    if is_pair(param):
        value = (param.opts if value else param.secondary_opts)[0].removeprefix("--")
    return f"{words} [default: {value}]"


def is_pair(param: Any) -> bool:
    return bool(getattr(param, "secondary_opts", ()))


def line(param: Any) -> str:
    return f"- {names(param)}: {description(param)}"


def children(group: Any) -> dict[str, Any]:
    return {name: command for name, command in group.commands.items() if not command.hidden}


def shared_lines(group: Any) -> list[str]:
    """The options that several commands take in the same words."""
    counts = Counter(line(p) for command in children(group).values() for p in own_params(command) if not is_argument(p))
    return [row for row, n in counts.items() if n >= SHARED_BY]


def head(name: str, command: Any) -> Iterator[str]:
    params = own_params(command)
    subcommands = getattr(command, "commands", {})
    flags = ["[OPTIONS]"] if any(not is_argument(p) for p in params) else []
    usage = [name, *flags, *map(argument_name, filter(is_argument, params)), *(["COMMAND"] if subcommands else [])]
    yield from (f"## `{name}`", "", text(command.help), "", "```", " ".join(usage), "```", "")


def command_lines(name: str, command: Any, shared: list[str]) -> Iterator[str]:
    yield from head(name, command)
    params = own_params(command)
    yield from (line(p) for p in params if line(p) not in shared)
    if also := [names(p).split(",")[0] for p in params if line(p) in shared]:
        yield f"- {', '.join(also)}: [shared](#shared-options)"
    yield ""


def cli_page() -> list[str]:
    group = typer.main.get_command(app)
    shared = shared_lines(group)
    lines = ["# Commands", "", MADE, ""]
    lines += [*head("gancli", group), *map(line, own_params(group)), ""]
    for word, command in children(group).items():
        if word == "train":
            lines += [
                "## `gancli train`",
                "",
                text(command.help).splitlines()[0],
                "",
                "[Options of train](cli-train.md)",
                "",
            ]
        else:
            lines += command_lines(f"gancli {word}", command, shared)
    return [*lines, "## Shared options", "", *(row for row in shared)]


def train_page() -> list[str]:
    command = children(typer.main.get_command(app))["train"]
    panels: dict[str, list[str]] = {"General": []}
    for param in own_params(command):
        panels.setdefault(getattr(param, "rich_help_panel", None) or "General", []).append(line(param))
    lines = ["# Options of `gancli train`", "", MADE, "", text(command.help), ""]
    lines += ["`[default: preset]` means that the value depends on the [preset](training.md).", ""]
    for panel, rows in panels.items():
        lines += [f"## {panel}", "", *rows, ""]
    return lines


def joined(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    pages = {DOCS / "cli.md": joined(cli_page()), DOCS / "cli-train.md": joined(train_page())}
    stale = [path for path, new in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != new]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.write_text(pages[path], encoding="utf-8")
        return 0
    for path in stale:
        print(f"docs/{path.name} is stale: run python scripts/cli_docs.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
