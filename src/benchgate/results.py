"""Records: what is kept of one measured cell; reading and writing them in pytest-benchmark's JSON.

A Record lives in `extra_info["benchgate"]` of one benchmark of a pytest-benchmark document. Its `schema` number grows
when a field changes meaning; `UPGRADES` turns an older block into today's, a newer one is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from benchgate.core import MAX_EXAMPLES, BenchgateError, Cell, Metric

SCHEMA = 1
PASSED = "passed"
OUTCOMES = (PASSED, "failed", "skipped", "oom", "error", "timeout", "accepted")

# From schema number to the function that makes the next one of it. Empty while there is one schema.
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class ResultsError(BenchgateError):
    """A results file that cannot be used; the message names it and the next command."""


@dataclass(frozen=True)
class Record:
    """One measured cell. `key` is the test's node id, what baselines are looked up by.

    `metrics` holds what was measured, `missing` why the rest was not (metric -> reason); a name is never in both.
    `params` are the test's other parameters, `details` what explains the figures (warm-up, data set, threads).
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
        return {**asdict(self), "metrics": {name: metric.as_dict() for name, metric in self.metrics.items()}}


def parse_record(block: Any, where: str) -> Record:
    """Our block of one benchmark as a Record. Raises ResultsError naming `where` for what is not one."""
    if not isinstance(block, dict) or not isinstance(block.get("schema"), int):
        raise ResultsError(f"{where}: not a benchgate record (no integer 'schema'); measure it again to replace it")
    block = _upgraded(block, where)
    known = {f.name for f in fields(Record)}
    try:
        values = {k: v for k, v in block.items() if k in known}
        values["metrics"] = {name: _parse_metric(m) for name, m in block["metrics"].items()}
        Cell(**block["cell"])
        record = Record(**values)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ResultsError(f"{where}: broken benchgate record ({error}); measure it again to replace it") from error
    if record.outcome not in (*OUTCOMES, "running"):
        raise ResultsError(f"{where}: unknown outcome {record.outcome!r}; allowed: {', '.join(OUTCOMES)}")
    return record


def _parse_metric(raw: Mapping[str, Any]) -> Metric:
    numbers = {name: float(raw[name]) for name in ("low", "high") if raw.get(name) is not None}
    numbers["value"] = float(raw["value"])
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise ValueError(f"{name} {raw[name]!r} is not finite")
    if raw["better"] not in ("lower", "higher"):
        raise ValueError(f"better={raw['better']!r} is neither 'lower' nor 'higher'")
    known = {f.name for f in fields(Metric)}
    return Metric(**{**{k: v for k, v in raw.items() if k in known}, **numbers, "examples": _parse_examples(raw)})


def _parse_examples(raw: Mapping[str, Any]) -> tuple[float, ...]:
    """The examples as `Metric.as_dict` writes them; records of before there were any have none."""
    values = tuple(float(word) for word in raw.get("examples", "").split())
    if len(values) > MAX_EXAMPLES or not all(map(math.isfinite, values)):
        raise ValueError(f"examples must be at most {MAX_EXAMPLES} finite numbers, got {len(values)}")
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
    """A pytest-benchmark JSON document. Raises ResultsError for a file that is missing, broken or something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be read ({error.strerror}); `ls {path.parent}` shows what is there"
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ResultsError(
            f"{path}: not valid JSON ({error}); make it again with `pytest ... --benchmark-json={path}`"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise ResultsError(f"{path}: not a pytest-benchmark document (no list 'benchmarks')")
    return document


def records_of(document: Mapping[str, Any], where: str) -> list[Record]:
    """All our records in a document, also those without timings (skipped, crashed); foreign ones are passed over."""
    blocks = [
        bench["extra_info"]["benchgate"]
        for bench in document["benchmarks"]
        if isinstance(bench, dict) and "benchgate" in (bench.get("extra_info") or {})
    ]
    own = document.get("benchgate")
    blocks += (own.get("untimed") or []) if isinstance(own, dict) else []
    return [parse_record(block, f"{where}[{index}]") for index, block in enumerate(blocks)]


def read_records(path: Path) -> list[Record]:
    """The records of one file; raises ResultsError when it has none: an empty comparison must not pass."""
    found = records_of(read_document(path), str(path))
    if not found:
        raise ResultsError(
            f"{path}: has no benchgate records; was it made by `pytest --benchmark-json` with benchgate?"
        )
    return found


def write_records(path: Path, records: Sequence[Record]) -> None:
    """A document of records that pytest-benchmark did not time, as `read_records` reads them."""
    document = {"benchmarks": [], "benchgate": {"untimed": [record.as_dict() for record in records]}}
    try:
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{path}: cannot be written ({error.strerror}); give another place") from error
