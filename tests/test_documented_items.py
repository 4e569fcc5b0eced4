"""docs/silent_passes.md: every item has a row, and every test that a row names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "silent_passes.md"
ITEMS = [*(str(number) for number in range(42)), "30a"]
# What only a worker a cell can hold.
WITHOUT_TEST = {"18"}
NAMED = re.compile(r"`([^`]+\.py)::([^`]+)`")


def rows() -> dict[str, list[tuple[str, str]]]:
    """The (file, test) pairs that the page names, by item."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")][2:]
    found = {}
    for line in lines:
        item, _, held_by = (part.strip() for part in line.strip("|").split("|"))
        assert item not in found, f"two rows of item {item}"
        found[item] = NAMED.findall(held_by)
    return found


def names_of(path: Path) -> set[str]:
    """The names of the tests at the top of a file, without importing it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_item_has_its_row_and_a_test():
    found = rows()
    assert sorted(found) == sorted(ITEMS)
    assert {item for item, tests in found.items() if not tests} == WITHOUT_TEST


@pytest.mark.parametrize("item", [item for item in ITEMS if item not in WITHOUT_TEST])
def test_the_names_of_an_item_exist(item):
    named = rows()[item]
    assert named
    assert {(file, test) for file, test in named if test not in names_of(TESTS / file)} == set()


def test_the_items_that_a_table_of_tests_names_have_a_row_that_names_the_table():
    """Rows of the tables begin with `11.` and the item."""
    for file in ("stored_rows.py", "test_silent_passes.py"):
        items = set(re.findall(r'"11\.(\d+a?) ', (TESTS / "gate" / file).read_text(encoding="utf-8")))
        assert items
        named = {item for item, tests in rows().items() if "gate/test_silent_passes.py" in dict(tests)}
        assert items <= named
