"""The collected run, without a pytest: what it keeps of thousands of cells."""

from __future__ import annotations

import copy
import json
from typing import Any, cast

from benchgate.gate.policy import Policy
from benchgate.pytest_plugin.suite_run import SuiteRun
from benchgate.storage.journal import Entry
from tests.builders import a_record

NUMBERS = range(3)


class Kept:
    """A journal in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)


def far_away(number: int) -> Entry:
    """A cell as its node sends it: all of it is its own."""
    record = copy.deepcopy(a_record({"latency_median_s": 1.0 + number}, key=f"test_it.py::test_it[{number}]"))
    return Entry(record, {"fullname": record.key, "extra_info": {"other": 1}}, {"packages": {"torch": "2.9"}})


def test_cells_of_one_machine_keep_it_once_and_are_whole_in_the_file():
    journal = Kept()
    suite = SuiteRun(Policy(), cast(Any, journal))
    for number in NUMBERS:
        entry = far_away(number)
        suite.records[entry.record.key] = entry.record
        suite.keep_elsewhere(entry)
    document: dict[str, Any] = {"benchmarks": []}
    suite.complete(document)
    blocks = [bench["extra_info"]["benchgate"] for bench in document["benchmarks"]]
    assert len({id(block["machine"]) for block in blocks}) == len({id(block["packages"]) for block in blocks}) == 1
    assert json.dumps(blocks) == json.dumps([far_away(number).record.as_dict() for number in NUMBERS])
    assert document["benchgate"]["untimed"] == []
    assert [entry.depends for entry in journal.entries] == [far_away(0).depends] * 3


def test_what_the_document_has_by_itself_is_not_added_again():
    suite = SuiteRun(Policy(), cast(Any, Kept()))
    entry = far_away(0)
    key = entry.record.key
    suite.records[key], suite.resumed[key] = entry.record, entry
    suite.reused.add(key)
    own = {"fullname": key, "extra_info": {}, "own": True}
    document: dict[str, Any] = {"benchmarks": [own]}
    suite.complete(document)
    assert document["benchmarks"] == [own]
    document = {"benchmarks": []}
    suite.complete(document)
    assert [bench["fullname"] for bench in document["benchmarks"]] == [key]
