"""Every code block of the README and of docs/ runs, or is checked as far as it can be (shell.py says how far).

A block that needs what cannot be had on every machine is preceded by `<!-- skip: next "reason" -->`: of it only the
syntax is checked, and of commands that their options exist. `<!-- invisible-code-block: python ... -->` prepares what
the page takes for granted.
"""

from __future__ import annotations

import re
from pathlib import Path
from unittest import SkipTest

import pytest
import yaml
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from tests.docs import material, shell

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"python", "bash", "yaml", "text"}


def names(page: Path) -> str:
    return page.name


def fences(page: Path) -> list[str]:
    """The words after the opening fences."""
    return re.findall(r"^ *```(.*)$", page.read_text("utf8"), re.MULTILINE)[::2]


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_block_names_its_language(page):
    assert set(fences(page)) <= LANGUAGES


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [p for p in PAGES if set(fences(p)) - {"text"}], ids=names)
def test_blocks_run(page, tmp_path, monkeypatch):
    material.prepare(page.stem, tmp_path)
    monkeypatch.chdir(tmp_path)
    python = PythonEvaluator()

    def bash(example: Example) -> None:
        shell.run_block(example.parsed, tmp_path)

    parsers = [
        CodeBlockParser("python", python),
        CodeBlockParser("bash", bash),
        CodeBlockParser("yaml", lambda example: yaml.safe_load(example.parsed) and None),
        SkipParser(),
    ]
    document = Document.parse(str(page), *parsers)
    document.namespace["__name__"] = "page"
    for example in document.examples():
        try:
            example.evaluate()
        except SkipTest:
            if example.region.lexemes["arguments"] == "python":
                compile(example.parsed, str(page), "exec")
            elif example.region.lexemes["arguments"] == "bash":
                shell.run_block(example.parsed, tmp_path, run=False)
