"""Records: what is kept of one measured cell; reading and writing them in pytest-benchmark's JSON.

A Record lives in `extra_info["benchgate"]` of one benchmark of a pytest-benchmark document. Its `schema` number grows
when a field changes meaning; `UPGRADES` turns an older block into today's, a newer one is refused. What a file holds is
checked in two places, both here: `read_document` for JSON, `parse_record` for our part of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchgate.core import MAX_EXAMPLES, SERIES, BenchgateError, Cell, Metric
from benchgate.core.metrics import Row, refusal

SCHEMA = 2
PASSED = "passed"
OUTCOMES = (PASSED, "failed", "skipped", "oom", "crash", "error", "timeout", "accepted")
# Parts that are the same in most records of a run.
SHARED = ("machine", "packages", "kernel", "rows")

# From schema number to the function that makes the next one of it.
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # 2 holds the rows of its metrics. Without them those of the table and of the project hold.
    1: lambda block: {**block, "schema": 2, "rows": {}},
}

# No results file is larger, nested deeper, or holds longer integers.
MAX_BYTES = 2**29
MAX_DEPTH = 100
MAX_INTEGER = 10**300


class ResultsError(BenchgateError):
    """A results file that cannot be used; the message names it and the next command."""


@dataclass(frozen=True)
class Record:
    """One measured cell. `key` is the test's node id, what baselines are looked up by.

    `metrics` holds what was measured, `missing` why the rest was not (metric -> reason); a name is never in both.
    `params` are the test's other parameters, `details` what explains the figures (warm-up, data set, threads). `rows`
    are the metric table's rows of these metrics with the tolerances that held for this cell when it was measured.
    """

    key: str
    cell: Mapping[str, str]
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    outcome: str = "running"
    reason: str = ""
    version: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    kernel: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Row] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def passed(self) -> bool:
        """True for what passed, or was accepted on purpose."""
        return self.outcome in (PASSED, "accepted")

    @property
    def is_baseline(self) -> bool:
        """True for what may be compared against: it passed, and at the first attempt (pytest-rerunfailures)."""
        return self.passed and "attempts" not in self.details

    @classmethod
    def unmeasured(cls, key: str, cell: Cell) -> Record:
        """A cell that never ran; its outcome and reason follow."""
        return cls(key, asdict(cell), "")

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, as `parse_record` reads it. To be written and not to be changed: its parts are the record's, and
        those may be other records' too (`Shared`)."""
        return {
            **{part.name: getattr(self, part.name) for part in fields(self)},
            "metrics": {name: metric.as_dict() for name, metric in self.metrics.items()},
            "rows": {name: asdict(row) for name, row in self.rows.items()},
        }


class Shared:
    """Parts of a run's records, each kept once: thousands of cells have one machine and one set of packages."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], Any] = {}

    def of(self, record: Record) -> Record:
        """Return the same record, with an earlier record's part wherever that is the same."""
        return replace(record, **{name: self._part(name, getattr(record, name)) for name in SHARED})

    def _part(self, name: str, value: Any) -> Any:
        # As text: 1 and True are equal, and differ in what is written.
        return self._parts.setdefault((name, json.dumps(value, sort_keys=True, default=str)), value)


def parse_record(block: Any, where: str) -> Record:
    """Our block of one benchmark as a Record. Raises ResultsError naming `where` for what is not one."""
    from benchgate.results.schema import fault

    if not isinstance(block, dict) or not isinstance(block.get("schema"), int):
        raise ResultsError(f"{where}: not a benchgate record (no integer 'schema'); measure it again to replace it")
    block = _upgraded(block, where)
    if reason := fault(block):
        raise ResultsError(f"{where}: broken benchgate record ({reason}); measure it again to replace it")
    values = {f.name: block[f.name] for f in fields(Record) if f.name in block}
    values["rows"] = {name: _only_known(Row, row) for name, row in block.get("rows", {}).items()}
    try:
        values["metrics"] = {name: _parse_metric(name, m, values["rows"]) for name, m in block["metrics"].items()}
    except (ValueError, OverflowError) as error:
        raise ResultsError(f"{where}: broken benchgate record ({error}); measure it again to replace it") from error
    record = Record(**values)
    if record.outcome not in (*OUTCOMES, "running"):
        raise ResultsError(f"{where}: unknown outcome {record.outcome!r}; allowed: {', '.join(OUTCOMES)}")
    return record


def _only_known(shape: Any, values: Mapping[str, Any]) -> Any:
    """An object of the fields that this version knows."""
    return shape(**{f.name: values[f.name] for f in fields(shape) if f.name in values})


def _parse_metric(name: str, raw: Mapping[str, Any], rows: Mapping[str, Row]) -> Metric:
    metric: Metric = _only_known(Metric, {**raw, **{name: _parse_series(raw, name) for name in SERIES}})
    if reason := refusal(name, metric, rows.get(name)):
        raise ValueError(reason)
    return metric


def _parse_series(raw: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """Many numbers as `Metric.as_dict` writes them; records of before there were any have none."""
    values = tuple(float(word) for word in raw.get(name, "").split())
    if len(values) > MAX_EXAMPLES or not all(map(math.isfinite, values)):
        raise ValueError(f"{name} must be at most {MAX_EXAMPLES} finite numbers, got {len(values)}")
    return values


def _upgraded(block: dict[str, Any], where: str) -> dict[str, Any]:
    if block["schema"] > SCHEMA:
        raise ResultsError(
            f"{where}: record schema {block['schema']} is newer than this benchgate's {SCHEMA}; "
            "pip install --upgrade benchgate"
        )
    while block["schema"] < SCHEMA:
        upgrade = UPGRADES.get(block["schema"])
        if upgrade is None:
            raise ResultsError(f"{where}: record schema {block['schema']} is too old; measure it again")
        block = upgrade(block)
    return block


def read_document(path: Path) -> dict[str, Any]:
    """A pytest-benchmark document with a list "benchmarks". Raises ResultsError for anything else, naming the file."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ResultsError(f"{path}: cannot be read ({reason}); `ls {path.parent}` shows what is there") from error
    if len(content) > MAX_BYTES:
        raise ResultsError(f"{path}: larger than {MAX_BYTES:,} bytes; give a file that `pytest --benchmark-json` wrote")
    try:
        document = json.loads(content.decode("utf-8"))
        _check(document)
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path}: not valid JSON ({error}); make it again with `pytest ... --benchmark-json={path}`"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise ResultsError(f"{path}: not a pytest-benchmark document (no list 'benchmarks')")
    return document


def _check(document: Any) -> None:
    """Raises ValueError for what JSON may hold and nothing here can work with: very deep, very large, half a letter."""
    layer, depth = [document], 0
    while layer:
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        below: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, int) and abs(value) > MAX_INTEGER:
                raise ValueError(f"a number of {len(str(abs(value)))} digits")
            elif isinstance(value, str) and not value.isascii():
                # Half of a surrogate pair cannot be printed: UnicodeEncodeError, which is a ValueError.
                value.encode("utf-8")
        layer, depth = below, depth + 1


def records_of(document: Mapping[str, Any], where: str) -> list[Record]:
    """All our records in a document, also those without timings (skipped, crashed); foreign ones are passed over."""
    infos = [bench.get("extra_info") for bench in document["benchmarks"] if isinstance(bench, dict)]
    blocks = [info["benchgate"] for info in infos if isinstance(info, dict) and "benchgate" in info]
    own = document.get("benchgate")
    untimed = own.get("untimed") if isinstance(own, dict) else None
    if untimed is not None and not isinstance(untimed, list):
        raise ResultsError(f"{where}: its benchgate part has no list 'untimed'; measure it again to replace it")
    return [parse_record(block, f"{where}[{index}]") for index, block in enumerate([*blocks, *(untimed or ())])]


def read_records(path: Path) -> list[Record]:
    """The records of one file; raises ResultsError when it has none: an empty comparison must not pass."""
    found = records_of(read_document(path), str(path))
    if not found:
        raise ResultsError(
            f"{path}: has no benchgate records; was it made by `pytest --benchmark-json` with benchgate?"
        )
    return found


def write_records(path: Path, records: Sequence[Record], commit: Mapping[str, Any] | None = None) -> None:
    """Write a document of records that pytest-benchmark did not time, as `read_records` and `read_run` read them.

    It has the time of now, and `commit`, the `id` and `dirty` of what was measured.

    Raises ResultsError for a place that cannot be written and for a figure that could not be read again.
    """
    for record in records:
        for name, metric in record.metrics.items():
            if reason := refusal(name, metric, record.rows.get(name)):
                raise ResultsError(f"{record.key}: {reason}; it is not written")
    now = datetime.now(UTC).isoformat()
    about = {"datetime": now, "commit_info": dict(commit or {})}
    document = {**about, "benchmarks": [], "benchgate": {"untimed": [record.as_dict() for record in records]}}
    try:
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{path}: cannot be written ({error.strerror}); give another place") from error
