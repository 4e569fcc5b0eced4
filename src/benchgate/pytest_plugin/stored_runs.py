"""The baselines of a run: what `--benchmark-compare` names, and the project's promoted one beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchgate.core import BenchgateError
from benchgate.gate.baselines import Baselines
from benchgate.gate.shelf import Shelf
from benchgate.gate.suspicion import suspicions
from benchgate.machine import spinning
from benchgate.machine.devices import devices
from benchgate.machine.fingerprint import fingerprint
from benchgate.pytest_plugin import benchmark_adapter
from benchgate.results import Record, ResultsError, read_document, records_of

# Stored runs that are asked for suspicion: older ones are of another code, and reading takes time.
NEWEST = 8
# The seconds of a test's body, in its record's details.
SECONDS = "test_s"
BASELINES = pytest.StashKey[Baselines | BenchgateError]()


def baseline_has_cells(config: pytest.Config) -> bool:
    """True where `--benchmark-compare` names results with cells; they are read and kept for the run.

    Called before pytest-benchmark loads the same. What is no good is an error of a suite with cells only, unless
    pytest-benchmark itself would end in a traceback.
    """
    if not getattr(config.option, "benchmark_compare", None):
        return False
    found = config.stash[BASELINES] = _baselines(config)
    if isinstance(found, BenchgateError):
        if not benchmark_adapter.can_compare(config):
            raise pytest.UsageError(str(found))
        return False
    has_cells = any(found)
    if has_cells:
        config.addinivalue_line("filterwarnings", benchmark_adapter.MACHINE_DIFFERS)
    return has_cells


def _baselines(config: pytest.Config) -> Baselines | BenchgateError:
    try:
        found = load_baselines(config.option.benchmark_compare, benchmark_adapter.storage(config))
        return replace(found, promoted=Shelf.of(config.rootpath).promoted())
    except BenchgateError as error:
        return error


def load_baselines(compare: str | bool, storage: Any) -> Baselines:
    """The records to compare against, from what `--benchmark-compare` names.

    Without a name: all stored runs, of which the newest comparable one counts. With one: that file or those files.
    Raises ResultsError for a file that is named and missing, cannot be read or has no record: it would otherwise be a
    comparison with nothing, which passes.
    """
    if compare is True:
        stored = _stored("[0-9][0-9][0-9][0-9]_", storage)
        return Baselines([record for path in stored for record in _records(path)], newest=True)
    name = str(compare)
    paths = _stored(name, storage)
    if not paths:
        make = f"--benchmark-json={name}" if name.endswith(".json") else "--benchmark-autosave"
        raise ResultsError(f"baseline {name!r} does not exist; make it with `pytest ... {make}`")
    found = [record for path in paths for record in _records(path)]
    if not found:
        raise ResultsError(
            f"{', '.join(map(str, paths))}: no benchgate record in it; compare with a file that "
            f"`pytest ... --benchmark-json={name}` wrote"
        )
    return Baselines(found)


def suspicion_of_tests(config: pytest.Config) -> dict[str, float]:
    """Suspicion by test from the newest stored runs; files that cannot be read say nothing of any."""
    return suspicions(_newest(config))


def seconds_of_tests(config: pytest.Config, baselines: Iterable[Record] = ()) -> dict[str, float]:
    """Seconds that each test took in the newest stored run of this machine that has it, else in these baselines."""
    found = {}
    for record in (*baselines, *_newest(config)):
        seconds = record.details.get(SECONDS)
        if isinstance(seconds, int | float) and seconds > 0 and _is_here(record):
            found[record.key] = float(seconds)
    return found


def _is_here(record: Record) -> bool:
    """True for a record of this machine; how idle threads of a worker spin decides little of how long a test takes."""
    device = record.cell.get("device", "")
    return device in devices and _without_spin(record.machine) == _without_spin(fingerprint(device))


def _without_spin(machine: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in machine.items() if name not in spinning.in_force()}


def _newest(config: pytest.Config) -> list[Record]:
    found: list[Record] = []
    for path in _stored("[0-9][0-9][0-9][0-9]_", benchmark_adapter.storage(config))[-NEWEST:]:
        with contextlib.suppress(ResultsError):
            found += records_of(read_document(path), str(path))
    return found


def _stored(name: str, storage: Any) -> list[Path]:
    try:
        return list(storage.query(name)) if hasattr(storage, "query") else []
    except ValueError:
        # pytest-benchmark's word for a path of folders that is not there.
        return []


def _records(path: Path) -> list[Record]:
    document = read_document(path)
    # What pytest-benchmark's own comparison cannot do without.
    for index, bench in enumerate(document["benchmarks"]):
        if not isinstance(bench, dict) or not {"fullname", "stats"} <= bench.keys():
            raise ResultsError(f"{path}: benchmark {index} has no 'fullname' and 'stats'; measure it again")
    if "machine_info" not in document:
        raise ResultsError(f"{path}: not a pytest-benchmark document (no 'machine_info'); measure it again")
    return records_of(document, str(path))
