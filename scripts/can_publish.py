"""Check that a tag may be published; exit 1 with the reasons if not. .github/workflows/release.yml runs this.

usage: can_publish.py TAG ADDRESS      (ADDRESS: of the repository that publishes, https://github.com/OWNER/NAME)
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def find_versions(root: Path) -> dict[str, str]:
    """The version in each file that names it; empty where it is missing. In CHANGELOG.md, the newest release."""
    changelog = [
        name for name in re.findall(r"^## \[(.+?)\]", read(root / "CHANGELOG.md"), re.M) if name != "Unreleased"
    ]
    return {
        "pyproject.toml": tomllib.loads(read(root / "pyproject.toml"))["project"]["version"],
        "gancli/_version.py": find_first(r'^__version__ = "(.+)"', read(root / "gancli" / "_version.py")),
        "CITATION.cff": find_first(r"^version: (.+)$", read(root / "CITATION.cff")),
        "CHANGELOG.md": changelog[0] if changelog else "",
    }


def find_reasons(root: Path, tag: str, address: str) -> list[str]:
    """Reasons not to publish this tag from the repository with this address."""
    versions = find_versions(root)
    version = versions["pyproject.toml"]
    repository = find_first(r'^REPOSITORY = "(.*?)"', read(root / "gancli" / "_version.py"))
    reasons = []
    if len({*versions.values()}) > 1:
        reasons.append("versions differ: " + ", ".join(f"{where}: {found}" for where, found in versions.items()))
    if tag != f"v{version}":
        reasons.append(f"the tag is {tag}, but the version is {version}")
    if not repository:
        reasons.append("REPOSITORY in gancli/_version.py is empty; docs/dev/releasing.md says when to set it")
    elif repository != address:
        reasons.append(f"REPOSITORY in gancli/_version.py is {repository}, but this is {address}")
    return reasons


def find_first(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.M)
    return match[1] if match else ""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    reasons = find_reasons(ROOT, *arguments)
    for reason in reasons:
        print(f"error: not published: {reason}", file=sys.stderr)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
