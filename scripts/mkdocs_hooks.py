"""Pages of the documentation site that are made of other files, and links that leave docs/ (hooks of MkDocs).

`overview.md` is the README, `measured.md` its section "Measured", `reference/messages.md` the message files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
INTERFACES = ROOT / "ros2_ws" / "src" / "imagebind_msgs"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made of other files."""
    readme = re.sub(r"(\]\()docs/", r"\1", (ROOT / "README.md").read_text("utf8"))
    made = {
        "overview.md": readme,
        "measured.md": "# Measured\n" + section(readme, "Measured"),
        "reference/messages.md": messages(),
    }
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files of the repository become their names, since the site holds docs/ only."""
    markdown = re.sub(r"\]\((?:\.\./)+README\.md(#[\w-]+)?\)", r"](overview.md\1)", markdown)
    markdown = re.sub(r"\[([^\]]+)\]\(\.\./([^)#]+)\)", r"\1 (`\2`)", markdown)
    if page.file.src_uri in ("overview.md", "measured.md"):
        markdown = re.sub(
            r"\[([^\]]+)\]\((?![a-z_/]+\.(?:md|jpg|png)\b|https?:|#)([^)]+)\)", r"\1 (`\2`)", markdown
        )
    return markdown


def section(markdown: str, title: str) -> str:
    """The text below heading `## title`, up to the next heading of that level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no section {title!r}")
    return found.group(1)


def messages() -> str:
    """Every message, service and action file of imagebind_msgs, as written."""
    parts = ["# Message files\n"]
    for kind in ("msg", "srv", "action"):
        for path in sorted((INTERFACES / kind).glob(f"*.{kind}")):
            parts.append(
                f"## imagebind_msgs/{kind}/{path.stem}\n\n```text\n{path.read_text('utf8').strip()}\n```\n"
            )
    return "\n".join(parts)
