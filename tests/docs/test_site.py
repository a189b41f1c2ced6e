"""The documentation site builds without a warning and holds every page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def pages(entry: object) -> list[str]:
    """The files that an entry of mkdocs.yml's `nav` names."""
    if isinstance(entry, str):
        return [entry]
    items = entry.values() if isinstance(entry, dict) else entry
    return [page for item in items for page in pages(item)]


def test_every_page_is_in_the_navigation_and_the_index():
    written = {path.name for path in (ROOT / "docs").glob("*.md")}
    nav = set(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert written <= nav
    index = (ROOT / "docs" / "index.md").read_text()
    assert {page for page in written if f"({page})" not in index} == {"index.md"}


@pytest.mark.timeout(300)
def test_the_site_builds(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SpaceMismatchError" in (tmp_path / "reference/python/imagebind_node/embedding.html").read_text()
    assert "imagebind_msgs/srv/SetQuery" in (tmp_path / "reference/messages.html").read_text()
    overview = (tmp_path / "overview.html").read_text()
    assert 'src="pictures/meadow.jpg"' in overview
    assert 'href="docs/' not in overview
