"""`benchgate report --table training`: one row for each setting, with the operations that were measured of it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchgate.core import BenchgateError
from benchgate.report.grid import Entry, Grid
from benchgate.results import Record

COLUMNS = (
    "device", "batch_size", "compile", "model", "context_length", "fwd avg", "fwd std", "back avg", "back std",
    "fwd & back avg", "fwd & back std", "status",
)  # fmt: skip
# runtime -> the table's column "compile"
COMPILED: Mapping[str, bool] = {"torch-training": False, "torch-training-compile": True}
# Columns of their own only where they differ between rows.
VARYING = ("precision", "attention", "threads")
# timed thing -> (operation that times it alone, lap of the operations that time more)
TIMED = (("forward", "forward_s"), ("backward", "backward_s"), ("forward_backward", "forward_backward_s"))
MEASURED = ("passed", "accepted")
# How the worst of a row's outcomes is chosen.
SEVERITY = ("skipped", "passed", "accepted", "running", "timeout", "oom", "crash", "error", "failed")
# What does not make it another row.
NOT_A_SETTING = ("timeout_s",)


def training_tables(records: Sequence[Record], files: Sequence[str] = ()) -> list[Grid]:
    """One table for each machine. Seconds; a cell measured twice counts as last measured; skipped ones are noted.

    Of a cell that several `files` hold the last file's figures are shown, and a note says so.

    Raises BenchgateError where no record is of training.
    """
    ours = [record for record in records if record.cell["runtime"] in COMPILED]
    if not ours:
        raise BenchgateError(
            "no training step in these results; measure some with "
            "`pytest benchmarks/test_training_step.py --benchmark-json=t.json`"
        )
    machines: dict[str, list[Record]] = {}
    for record in ours:
        machines.setdefault(_machine_of(record, ours), []).append(record)
    tables = [_table(mine, name if len(machines) > 1 else "") for name, mine in machines.items()]
    twice = len({r.key for r in ours}) < len(ours) and len(set(files)) > 1
    note = f"a cell that several files hold is shown as in the last of {', '.join(dict.fromkeys(files))}"
    return [replace(table, notes=(*table.notes, note)) for table in tables] if twice else tables


def _machine_of(record: Record, records: Sequence[Record]) -> str:
    """The name of a machine. A cell that ended before it had a machine belongs to the only one, if there is one."""
    known = list(dict.fromkeys(_machine_name(r.machine) for r in records if r.machine))
    if not record.machine:
        return known[0] if len(known) == 1 else "machine not recorded"
    return _machine_name(record.machine)


def _machine_name(machine: Mapping[str, Any]) -> str:
    names = ("cpu", "gpu", "cores", "memory_gib", "system")
    return ", ".join(f"{machine[n]} {n}" if n in ("cores",) else str(machine[n]) for n in names if n in machine)


def _table(records: Sequence[Record], title: str) -> Grid:
    rows: dict[str, list[Record]] = {}
    for record in records:
        rows.setdefault(_setting(record), []).append(record)
    measured = [mine for mine in rows.values() if not all(r.outcome == "skipped" for r in mine)]
    varying = [name for name in VARYING if len({_value(mine[0], name) for mine in measured} - {None}) > 1]
    columns = (*COLUMNS[:-1], *varying, COLUMNS[-1])
    body = tuple(_row(mine, varying) for mine in measured)
    return Grid(title, columns, body, tuple(_notes(rows.values())))


def _setting(record: Record) -> str:
    """The things that make a row: the cell, its parameters and threads, without the operation."""
    params = {k: v for k, v in record.params.items() if k not in (*NOT_A_SETTING, "operation")}
    return json.dumps([dict(record.cell), params, _value(record, "threads")], sort_keys=True)


def _value(record: Record, name: str) -> Entry:
    """A cell that ended before it had threads has None."""
    found: dict[str, Entry] = {
        "precision": record.cell["scheme"],
        "attention": record.params.get("attention", "default"),
        "threads": record.details.get("threads"),
    }
    return found[name]


def _row(records: Sequence[Record], varying: Sequence[str]) -> tuple[Entry, ...]:
    first = records[0]
    figures = [figure for operation, lap in TIMED for figure in _seconds(records, operation, lap)]
    return (
        first.cell["device"],
        first.params.get("batch"),
        COMPILED[first.cell["runtime"]],
        first.cell["model"],
        first.params.get("context"),
        *figures,
        *(_value(first, name) for name in varying),
        status(records),
    )


def _seconds(records: Sequence[Record], operation: str, lap: str) -> tuple[float | None, float | None]:
    """(mean, sample deviation) of the operation by itself, or else as a lap of one that times more."""
    good = [record for record in records if record.outcome in MEASURED]
    for record in reversed(good):
        if record.operation == operation:
            metrics = [record.metrics.get(name) for name in ("latency_mean_s", "latency_std_s")]
            return metrics[0].value if metrics[0] else None, metrics[1].value if metrics[1] else None
    for record in reversed(good):
        samples = record.details.get("laps", {}).get(lap)
        if samples:
            return statistics.mean(samples), statistics.stdev(samples) if len(samples) > 1 else None
    return None, None


def status(records: Sequence[Record]) -> str:
    """ok, oom, timeout, or error with its reason: the worst of a row's cells."""
    worst = max(records, key=lambda record: SEVERITY.index(record.outcome))
    if worst.outcome in MEASURED:
        return "ok"
    return worst.outcome if worst.outcome in ("oom", "timeout", "crash") else f"error: {worst.reason or worst.outcome}"


def _notes(rows: Any) -> list[str]:
    """Why rows ended early, with the parameters that have no column; what was skipped."""
    found: dict[str, None] = {}
    for record in (record for mine in rows for record in mine):
        if record.outcome in MEASURED:
            continue
        extra = {k: v for k, v in record.params.items() if v is not None}
        what = " ".join([record.cell["model"], record.cell["runtime"], *(f"{k}={v}" for k, v in extra.items())])
        found[f"{record.outcome}: {what}: {record.reason}"] = None
    return list(found)
