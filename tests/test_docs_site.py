"""The documentation site: each page is in the menu once, and what a page links to is there. No mkdocs is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="pyyaml is not installed; pip install 'benchgate[dev]'")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages(entry):
    """The files that a part of the menu names."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in pages(part)]


def test_the_menu_has_each_page_once():
    menu = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(menu) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_what_a_page_links_to_is_in_the_site(path):
    found = [target for target in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in target]
    places = {target: (path.parent / target).resolve() for target in found}
    # A file beside the site is on no page of it.
    assert [target for target, at in places.items() if not (at.is_file() and at.is_relative_to(DOCS))] == []


def test_links_are_found():
    assert LINK.findall((DOCS / "index.md").read_text(encoding="utf-8"))
