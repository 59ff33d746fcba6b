"""Metadata that hatchling adds to the wheel and the sdist: the README as a package page shows it, and links.

If REPOSITORY in gancli/_version.py is set, relative links and pictures in the README become absolute, at the tag of
this version, and the package gets project URLs. If it is empty, the README is unchanged and there are no URLs.
"""

import re
import runpy
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURES = (".gif", ".jpg", ".png", ".svg", ".webp")
RELATIVE_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s]+)\)")


class PackagePage(MetadataHookInterface):  # type: ignore[misc]
    """Fill in `readme` and `urls`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        repository = runpy.run_path(str(root / "gancli" / "_version.py"))["REPOSITORY"]
        text = (root / "README.md").read_text(encoding="utf-8")
        if repository:
            tag = f"v{metadata['version']}"
            text = make_links_absolute(text, repository, tag)
            metadata["urls"] = {
                "Source": repository,
                "Documentation": f"{repository}/blob/{tag}/docs/README.md",
                "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
                "Issues": f"{repository}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def make_links_absolute(markdown: str, repository: str, tag: str) -> str:
    """Pages are linked as GitHub shows them, pictures as files."""

    def absolute(match: re.Match[str]) -> str:
        kind = "raw" if match[1].lower().endswith(PICTURES) else "blob"
        return f"]({repository}/{kind}/{tag}/{match[1]})"

    return RELATIVE_LINK.sub(absolute, markdown)
