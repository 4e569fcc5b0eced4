"""Times that neighbours disturbed decide nothing, are no baseline, and say so; the rest is judged as ever."""

from __future__ import annotations

import pytest

from benchgate.core.metrics import TABLE, row_of
from benchgate.gate import compare as gate
from benchgate.gate.baselines import Baselines
from benchgate.gate.disturbed import GROUPS, disturbance
from benchgate.gate.findings import failing
from benchgate.gate.policy import Policy, resolved
from benchgate.report.notes import notes
from benchgate.report.tables import metric_tables
from tests.builders import a_record

WAITED = ["waited for a CPU 30% of its time (limit 5%)"]
TIMES = {"latency_median_s": 1.0, "throughput_per_s": 1.0}
SLOWER = {"latency_median_s": 25.0, "throughput_per_s": 0.04}


def a_time(metrics, *, disturbed=None, **fields):
    details = {"threads": 4} if disturbed is None else {"threads": 4, "disturbed": disturbed}
    return a_record({**metrics, **fields}, details=details)


def kinds(now, *baselines, newest=False):
    found = gate.compare(resolved(now, Policy(stored_times="fail"), None), Baselines(baselines, newest=newest))
    return {finding.metric: finding.kind for finding in found}


@pytest.mark.parametrize("metrics", [TIMES, SLOWER, {"latency_median_s": 0.01, "throughput_per_s": 100.0}])
def test_a_disturbed_time_is_neither_worse_nor_better_nor_the_same(metrics):
    assert set(kinds(a_time(metrics, disturbed=WAITED), a_time(TIMES)).values()) == {"inconclusive"}


def test_a_disturbed_baseline_decides_nothing_and_is_passed_over_where_there_is_a_quiet_one():
    assert set(kinds(a_time(SLOWER), a_time(TIMES, disturbed=WAITED)).values()) == {"inconclusive"}
    stored = [a_time(TIMES), a_time(SLOWER, disturbed=WAITED)]
    assert set(kinds(a_time(SLOWER), *stored, newest=True).values()) == {"regressed"}
    assert set(kinds(a_time(TIMES), *stored, newest=True).values()) == {"unchanged"}


def test_sizes_accuracies_and_memory_are_judged_as_ever():
    judged = {"size_bytes": 2e6, "top1": 0.1, "peak_rss_bytes": 9e9}
    before = {"size_bytes": 1e6, "top1": 0.5, "peak_rss_bytes": 1e9}
    found = kinds(a_time(TIMES, disturbed=WAITED, **judged), a_time(TIMES, **before))
    assert {name: found[name] for name in judged} == dict.fromkeys(judged, "regressed")


def test_it_fails_only_strictly_and_names_the_reason():
    now = resolved(a_time(SLOWER, disturbed=WAITED), Policy(), None)
    found = gate.compare(now, Baselines([a_time(TIMES)]))
    assert failing(found) == []
    assert len(failing(found, strict=True)) == 2
    assert all(WAITED[0] in str(finding) for finding in found)


def test_the_first_call_has_reasons_of_its_own():
    record = a_record({"first_call_s": 1.0, **TIMES}, details={"first_call_disturbed": WAITED})
    told = {name: disturbance(row_of(name, value), record) for name, value in record.metrics.items()}
    assert told == {"first_call_s": WAITED[0], "latency_median_s": None, "throughput_per_s": None}


def test_only_what_is_measured_over_time_can_be_disturbed():
    record = a_record(details={"disturbed": WAITED, "first_call_disturbed": WAITED, "energy_disturbed": WAITED})
    assert {row.group for row in TABLE.values() if disturbance(row, record)} == GROUPS


def test_energy_has_a_window_and_reasons_of_its_own():
    row = TABLE["energy_j_per_call"]
    assert disturbance(row, a_record(details={"disturbed": WAITED})) is None
    assert disturbance(row, a_record(details={"energy_disturbed": WAITED})) == WAITED[0]


@pytest.mark.parametrize("odd", [5, "text", {"a": 1}, True, [None, 3]])
def test_whatever_a_results_file_holds_there_is_a_mark_and_no_traceback(odd):
    record = a_time(TIMES, disturbed=odd)
    assert set(kinds(record, a_time(TIMES)).values()) == {"inconclusive"}
    assert list(notes([record]))


def test_the_mark_is_in_the_table_and_told_below_it():
    record = a_time(TIMES, disturbed=WAITED, top1=0.5)
    table = next(metric_tables([record], {}, 120))
    cells = {str(column.header).split("\n")[1]: str(next(iter(column.cells))) for column in table.columns[1:]}
    assert cells["median"] == "1 s~"
    assert not any(cell.endswith("~") for name, cell in cells.items() if name.startswith("top"))
    assert any("disturbed (~): 1 cell" in line for line in notes([record]))
