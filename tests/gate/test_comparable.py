"""The table of what must be equal: each part by itself, and as the docs have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchgate.core.metrics import GROUPS, TABLE
from benchgate.gate.comparable import BETWEEN_CELLS, NEEDS, PARTS, comparable, same
from tests.builders import MACHINE, a_record

DOCS = Path(__file__).parents[2] / "docs"
ROW = {group: next(row for row in TABLE.values() if row.group == group) for group in GROUPS}
DETAILS = {"threads": 4, "timer": "t", "data": {"n": 1}}
CHANGES = {
    "version": {"version": "2"},
    "params": {"params": {"batch": 2}},
    "operation": {"operation": "other"},
    "data": {"details": {**DETAILS, "data": {"n": 2}}},
    "threads": {"details": {**DETAILS, "threads": 8}},
    "timer": {"details": {**DETAILS, "timer": "u"}},
    "machine": {"machine": {**MACHINE, "cores": 8}},
    "packages": {"packages": {"torch": "3"}},
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("group", GROUPS)
def test_each_part_parts_exactly_the_groups_that_need_it(group, part):
    record = a_record(details=DETAILS)
    changed = replace(record, **CHANGES[part])
    assert comparable(ROW[group], record, record) is None
    assert (comparable(ROW[group], record, changed) is not None) is (part in NEEDS[group])
    assert comparable(ROW[group], record, changed, frozenset({part})) is None


def test_the_docs_have_the_same_table():
    lines = [line for line in (DOCS / "gate.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    head = next(i for i, line in enumerate(lines) if "| size | accuracy |" in line)
    groups = [word.strip() for word in lines[head].split("|")[2:-1]]
    said = {group: set() for group in groups}
    for line in lines[head + 2 : head + 2 + len(PARTS)]:
        first, *marks = [word.strip() for word in line.split("|")[1:-1]]
        for group, mark in zip(groups, marks, strict=True):
            if mark == "x":
                said[group].add(first.partition(":")[0])
    assert said == {group: set(needed) for group, needed in NEEDS.items()}
    assert "but for packages" in (DOCS / "compare.md").read_text(encoding="utf-8")
    assert {"packages"} == BETWEEN_CELLS


@pytest.mark.parametrize(
    ("ours", "theirs", "equal"),
    [(float("nan"), float("nan"), True), ((1, 2), [1, 2], True), (1, 2, False), ("1", 1, False), (None, 0, False)],
)
def test_values_are_equal_as_in_a_file(ours, theirs, equal):
    assert same(ours, theirs) is equal
