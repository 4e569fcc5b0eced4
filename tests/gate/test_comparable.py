"""The table of what must be equal: each part by itself, and as the docs have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchgate.core.metrics import GROUPS, OTHER, TABLE, Row, metric
from benchgate.gate.comparable import BETWEEN_CELLS, NEEDS, PARTS, comparable, other_cell, same, unstable
from benchgate.results import Record
from tests.builders import MACHINE, a_record

DOCS = Path(__file__).parents[2] / "docs"
ROW = {group: Row("spam", "1", "lower", group, "spam") for group in GROUPS}
DETAILS = {"threads": 4, "timer": "t", "data": {"n": 1}, "energy": {"source": "RAPL"}}
CHANGES = {
    "version": {"version": "2"},
    "params": {"params": {"batch": 2}},
    "operation": {"operation": "other"},
    "data": {"details": {**DETAILS, "data": {"n": 2}}},
    "threads": {"details": {**DETAILS, "threads": 8}},
    "timer": {"details": {**DETAILS, "timer": "u"}},
    "counter": {"details": {**DETAILS, "energy": {"source": "battery"}}},
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


def test_a_group_of_ones_own_is_compared_as_other_is():
    own = Row("spam_g", "g", "lower", "footprint", "CO2", 0.1)
    for changed in CHANGES.values():
        pair = a_record(details=DETAILS), replace(a_record(details=DETAILS), **changed)
        assert comparable(own, *pair) == comparable(ROW[OTHER], *pair)


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


def test_objects_are_equal_in_any_order_of_their_names():
    one, other = {"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"d": 3, "c": 2}], "a": 1}
    assert same(one, other)
    assert same(other, one)


# The reason, to the letter

PASSAGES = {"dataset": "lambada", "sha256": "0123456789abcdef", "batch": 8}
FIDELITY = {"metrics": ["kl_mean"], "reference": "spam-fp32-torch-cpu"}
BASE = {"version": "1", "params": {}, "operation": "call", "details": {}, "machine": {}, "packages": {}}
ADDRESS = "<spam.Ham object at 0x7f00aa>"
SAYS_NOTHING = (
    "parameter of=<spam.Ham object> shows an address, which says nothing of its value; give its class a __repr__ or "
    "pass a name"
)
TIME, ACCURACY, KL = TABLE["latency_median_s"], TABLE["top1"], TABLE["kl_mean"]


@pytest.mark.parametrize(
    ("row", "theirs", "ours", "reason"),
    [
        (TIME, {"version": "1"}, {"version": "2"}, "model version '1' -> '2'"),
        (TIME, {"params": {}}, {"params": {"b": 1}}, "parameters changed: b not recorded -> 1"),
        (
            TIME,
            {"params": {"b": "x", "a": 1}},
            {"params": {"a": 2}},
            "parameters changed: a 1 -> 2, b x -> not recorded",
        ),
        (TIME, {"params": {"of": ADDRESS}}, {"params": {"of": "ham"}}, SAYS_NOTHING),
        (TIME, {"params": {"of": "ham"}}, {"params": {"of": ADDRESS}}, SAYS_NOTHING),
        (TIME, {"params": {"of": ADDRESS}}, {"params": {"of": ADDRESS}}, SAYS_NOTHING),
        (TIME, {"params": {"of": "0x7f00aa", "n": 1}}, {"params": {"of": "0x7f00aa", "n": 1}}, None),
        (TIME, {"operation": "step"}, {}, "other operation: 'step' -> 'call'"),
        (TIME, {"details": {"threads": 2}}, {"details": {"threads": 8}}, "other threads: 2 -> 8"),
        (TIME, {"details": {"timer": "a"}}, {"details": {"timer": "b"}}, "other timer: 'a' -> 'b'"),
        (TIME, {"details": {"timer": "a"}}, {}, "other timer: 'a' -> not recorded"),
        (TIME, {"machine": {"cores": 2}}, {"machine": {"cores": 8}}, "other machine: cores 2 -> 8"),
        (TIME, {"packages": {"torch": "1"}}, {"packages": {"torch": "2"}}, "other packages: torch 1 -> 2"),
        (
            TIME,
            {"version": "1", "machine": {"cores": 2}},
            {"version": "2", "machine": {"cores": 8}},
            "model version '1' -> '2'; other machine: cores 2 -> 8",
        ),
        (ACCURACY, {"details": {"data": {"n": 5}}}, {"details": {"data": {"n": 9}}}, "other data: n 5 -> 9"),
        (
            ACCURACY,
            {"details": {"data": PASSAGES}},
            {"details": {"data": {**PASSAGES, "sha256": "fedcba9876543210"}}},
            "other data: sha256 0123456789ab -> fedcba987654",
        ),
        (ACCURACY, {"details": {"data": PASSAGES}}, {"details": {"data": {**PASSAGES, "batch": 1}}}, None),
        (ACCURACY, {}, {"details": {"data": PASSAGES}}, "other data: not told -> dataset lambada, sha256 0123456789ab"),
        (ACCURACY, {"details": {"data": {"n": 5}}}, {}, "other data: n 5 -> not told"),
        # A fidelity's data are its own, and the cell it was held against belongs to them.
        (
            KL,
            {"details": {"data": {"n": 1}, "fidelity": {**FIDELITY, "data": {"n": 5}}}},
            {"details": {"data": {"n": 1}, "fidelity": {**FIDELITY, "data": {"n": 6}}}},
            "other data: n 5 -> 6",
        ),
        (
            KL,
            {"details": {"data": {"n": 1}, "fidelity": {**FIDELITY, "data": {"n": 5}}}},
            {"details": {"data": {"n": 2}, "fidelity": {**FIDELITY, "data": {"n": 5}}}},
            None,
        ),
        (
            ACCURACY,
            {"details": {"data": {"n": 1}, "fidelity": {**FIDELITY, "data": {"n": 5}}}},
            {"details": {"data": {"n": 1}, "fidelity": {**FIDELITY, "data": {"n": 6}}}},
            None,
        ),
        (
            KL,
            {"details": {"fidelity": {**FIDELITY, "data": {"n": 5}}}},
            {"details": {"fidelity": {**FIDELITY, "data": {"n": 5}, "reference": "ham"}}},
            "other data: reference spam-fp32-torch-cpu -> ham",
        ),
        (
            KL,
            {"details": {"data": {"n": 5}, "fidelity": FIDELITY}},
            {"details": {"data": {"n": 5}, "fidelity": {**FIDELITY, "reference": "ham"}}},
            "other data: reference spam-fp32-torch-cpu -> ham",
        ),
    ],
)
def test_the_reason_is_told_to_the_letter(row, theirs, ours, reason):
    assert comparable(row, a_record(**{**BASE, **ours}), a_record(**{**BASE, **theirs})) == reason
    if reason is None:
        assert comparable(row, a_record(**{**BASE, **theirs}), a_record(**{**BASE, **ours})) is None


def of_examples(name: str, n: int, **fields) -> Record:
    return replace(a_record(**{**BASE, **fields}), metrics={name: replace(metric(name, 0.5), n=n)})


@pytest.mark.parametrize(
    ("name", "theirs", "ours", "apart", "reason"),
    [
        ("top1", 5, 5, (), None),
        ("top1", 5, 9, (), "other data: n 5 -> 9"),
        ("top1", 5, 9, ("data",), None),
        ("top1", 5, 9, ("packages",), "other data: n 5 -> 9"),
        # Another number of rounds is no other data.
        ("latency_median_s", 5, 9, (), None),
    ],
)
def test_where_no_record_describes_the_data_their_number_must_be_equal(name, theirs, ours, apart, reason):
    assert comparable(TABLE[name], of_examples(name, ours), of_examples(name, theirs), frozenset(apart)) == reason


@pytest.mark.parametrize("name", ["top1", "kl_mean"])
def test_a_metric_that_one_side_lacks_has_no_number_to_differ(name):
    other = replace(a_record(**BASE), metrics={})
    assert comparable(TABLE[name], of_examples(name, 5), other) is None
    assert comparable(TABLE[name], other, of_examples(name, 5)) is None


def test_where_both_describe_their_data_the_number_that_gave_a_figure_does_not_matter():
    data = {"details": {"data": {"n": 9}}}
    assert comparable(ACCURACY, of_examples("top1", 5, **data), of_examples("top1", 9, **data)) is None


@pytest.mark.parametrize(
    ("theirs", "ours", "reason"),
    [
        ({}, {}, None),
        ({}, {"machine": {"cores": 8}, "operation": "step"}, None),
        ({}, {"version": "2"}, "model version '1' -> '2'"),
        ({}, {"version": "2", "params": {"b": 1}}, "model version '1' -> '2'; parameters changed: b not recorded -> 1"),
    ],
)
def test_another_cell_is_another_version_or_other_parameters(theirs, ours, reason):
    assert other_cell(a_record(**{**BASE, **ours}), a_record(**{**BASE, **theirs})) == reason


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({}, None),
        ({"a": 1, "b": "at 0x", "c": None}, None),
        ({"a": 1, "of": ADDRESS}, SAYS_NOTHING),
    ],
)
def test_a_parameter_that_shows_its_address_is_named(params, shown):
    assert unstable(a_record(params=params)) == shown


@pytest.mark.parametrize(("watts", "equal"), [(4.0, True), (5.0, False)])
def test_modelled_energies_are_compared_only_with_the_same_watts(watts, equal):
    row = TABLE["modelled_energy_j_per_call"]
    ours, theirs = (a_record(details={"modelled_energy": {"watts_per_core": w}}) for w in (4.0, watts))
    assert (comparable(row, ours, theirs) is None) is equal
