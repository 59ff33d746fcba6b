"""Write docs/cli.md from the command tree; with --check, exit 1 unless it is up to date."""

import inspect
import sys
from pathlib import Path
from typing import Any

import typer

from gancli import config
from gancli.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
NOT_OURS = {"help", "install_completion", "show_completion"}


def own_params(command: Any) -> list[Any]:
    return [p for p in command.params if p.name not in NOT_OURS and not getattr(p, "hidden", False)]


def is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def argument_name(param: Any) -> str:
    name = param.metavar or param.name.upper()
    name += "..." if param.nargs == -1 else ""
    return name if param.required else f"[{name.strip('[]')}]"


def names(param: Any) -> str:
    """`--device` auto|cpu|cuda|mps: the flags, then what is to follow where the command says so."""
    if is_argument(param):
        return f"`{argument_name(param).strip('[]')}`"
    return f"{', '.join(f'`{flag}`' for flag in (*param.opts, *param.secondary_opts))} {param.metavar or ''}".strip()


def default(command: str, param: Any) -> str:
    value = param.default
    if value is None and command == "train" and param.name in config.setting_fields():
        return "preset"
    if isinstance(value, bool):
        return ("on" if value else "off") if param.secondary_opts else ""
    return f"`{value}`" if isinstance(value, str | int | float | Path) and str(value) else ""


def text(words: str | None) -> str:
    return inspect.cleandoc((words or "").split("\f")[0])


def section(name: str, command: Any) -> list[str]:
    params = own_params(command)
    subcommands = getattr(command, "commands", {})
    flags = ["[OPTIONS]"] if any(not is_argument(p) for p in params) else []
    usage = [name, *flags, *map(argument_name, filter(is_argument, params)), *(["COMMAND"] if subcommands else [])]
    lines = [f"## `{name}`", "", text(command.help), "", "```", " ".join(usage), "```", ""]
    if params:
        rows = [
            (names(p), text(getattr(p, "help", "")).replace("\n", " "), default(name.split()[-1], p)) for p in params
        ]
        lines += ["| | what | default |", "|---|---|---|"]
        lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows] + [""]
    for word, child in subcommands.items():
        if not child.hidden:
            lines += section(f"{name} {word}", child)
    return lines


def page() -> str:
    head = [
        "# Commands and flags",
        "",
        "<!-- made by scripts/cli_docs.py; edit the commands, then run it again -->",
        "",
    ]
    return "\n".join(head + section("gancli", typer.main.get_command(app))).rstrip() + "\n"


def main() -> int:
    new = page()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(new, encoding="utf-8")
        return 0
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    print(f"docs/cli.md is {'up to date' if old == new else 'stale: run python scripts/cli_docs.py'}")
    return 0 if old == new else 1


if __name__ == "__main__":
    sys.exit(main())
