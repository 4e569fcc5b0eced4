"""The `cell` fixture's object: what a test sees of one cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchgate.core import BenchgateError, Cell, InvalidOutput, Model, Unavailable, models
from benchgate.core.metrics import refusal
from benchgate.gate.paired import Verdict
from benchgate.machine.devices import usable_cores
from benchgate.measuring import run as running
from benchgate.measuring.meters import ALL
from benchgate.pytest_plugin import matrix
from benchgate.pytest_plugin.suite_run import SuiteRun
from benchgate.results import Record


class Result(Mapping[str, float]):
    """The measured values of a Record by metric name; a missing one raises KeyError with the reason."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __getitem__(self, name: str) -> float:
        if name in self.record.metrics:
            return self.record.metrics[name].value
        reason = self.record.missing.get(name, f"not measured; there is: {', '.join(self.record.metrics) or 'nothing'}")
        raise KeyError(f"{name}: {reason}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.record.metrics)

    def __len__(self) -> int:
        return len(self.record.metrics)


class MeasuredCell:
    """One cell of the matrix in one test. `measure` is used once a test; `reference` as often as one likes.

    `limits` are pytest-benchmark's (max_time in s, min_rounds) for this test; `meters` the command line's choice.
    """

    def __init__(
        self,
        cell: Cell,
        key: str,
        params: Mapping[str, Any],
        benchmark: Any,
        limits: tuple[float, int],
        meters: Sequence[str] | None,
        suite_run: SuiteRun,
    ) -> None:
        self.cell = cell
        self._key, self._params, self._benchmark, self._limits = key, dict(params), benchmark, limits
        self._meters, self._in = meters, suite_run
        self._session: Any = None

    def __str__(self) -> str:
        return str(self.cell)

    @property
    def model(self) -> Model:
        return models[self.cell.model]

    def measure(
        self,
        operation: str | None = None,
        *,
        data: Any = None,
        meters: Sequence[str] = ALL,
        threads: int | None = None,
        **params: Any,
    ) -> Result:
        """Measure one operation of the cell's task (its first where none is named), with `params` as its arguments.

        Scores accuracy where no operation is named or `data` is given. `meters` are those of
        `benchgate.measuring.meters` to use beside latency, which always is; the command line's `--meters` goes
        before. Returns the values; the record goes into the JSON.
        """
        others = self._meters if self._meters is not None else meters
        threads = usable_cores() if threads is None else threads
        shown = plain({**self._params, **params})
        try:
            run = self._loaded(self.cell, threads, operation, params)
            run.benchmark, (run.max_time, run.min_rounds) = self._benchmark, self._limits
            score = operation is None or data is not None
            wanted = dict.fromkeys(["latency", *others])
            record = _finite(running.measure(run, self._key, shown, list(wanted), score, data))
        except BaseException:
            # Half a measurement, also one cut by Ctrl-C, is none: it does not go into pytest-benchmark's file.
            self._benchmark.has_error = True
            self._in.attempts[self._key] = running.attempted(self.cell, self._key, threads, operation or "", shown)
            raise
        return self._keep(record)

    def _keep(self, record: Record) -> Result:
        self._benchmark.extra_info["benchgate"] = record.as_dict()
        self._in.records[self._key] = record
        return Result(record)

    def _measured(self, what: str) -> Record:
        if self._key not in self._in.records:
            raise BenchgateError(f"{self.cell}: {what} comes after cell.measure(...), whose record it adds to")
        return self._in.records[self._key]

    def fidelity(self, data: Any, scheme: str = "fp32", runtime: str | None = None) -> Result:
        """How far this cell's outputs are from those of another scheme of the same model, on `data`: kl_mean, ...

        Called after `measure`, whose record it adds to; both models are loaded at once, after everything that is timed
        or weighed. `runtime` is the other's, this cell's own where None. Raises BenchgateError for a task whose outputs
        have no such comparison.
        """
        record = self._measured("fidelity")
        other = self._other(scheme, runtime)
        found = running.fidelity(self.cell, self.session, other, usable_cores(), data)
        described = data.describe() if hasattr(data, "describe") else None
        about = {"reference": str(other), "data": described, "metrics": list(found)}
        metrics = {**record.metrics, **found}
        return self._keep(_finite(replace(record, metrics=metrics, details={**record.details, "fidelity": about})))

    def decide(self, verdict: Verdict) -> None:
        """Keep the answer to a floor in the record, and fail the test where the floor fails.

        "undecidable" is not a pass in silence: the summary names it, with how many examples would decide it.
        Called after `measure`: `cell.decide(paired.floor(result.record, reference.record, 0.99, "top1"))`.
        """
        record = self._measured("decide")
        floors = [*record.details.get("floors", ()), verdict.as_dict()]
        self._keep(replace(record, details={**record.details, "floors": floors}))
        assert verdict.answer != "fails", str(verdict)

    def reference(self, scheme: str = "fp32", runtime: str | None = None, data: Any = None) -> Result:
        """The accuracy of another scheme of the same model and data: this session's own, or else scored now.

        What a floor is held against: `assert result["top1"] >= 0.9 * cell.reference(data=passages)["top1"]`.
        """
        other = self._other(scheme, runtime)
        about = data.describe() if hasattr(data, "describe") else None
        known = self._in.scored(self._key, other, about)
        if known is not None:
            return Result(known)
        try:
            run = self._loaded(other, usable_cores(), None, {})
            record = _finite(running.measure(run, f"{self._key} (reference {other})", {}, (), True, data))
        finally:
            # `session` is this cell's model, not the reference's.
            self.close()
        self._in.keep_reference(self._key, other, about, record)
        return Result(record)

    def _other(self, scheme: str, runtime: str | None) -> Cell:
        """The cell that this one is held against. Raises Unavailable, a skip, where it cannot run here."""
        other = replace(self.cell, scheme=scheme, runtime=runtime or self.cell.runtime)
        if reason := matrix.missing(other):
            raise Unavailable(f"{other}, which {self.cell} is held against, cannot run: {reason}")
        return other

    def _loaded(self, cell: Cell, threads: int, operation: str | None, params: Mapping[str, Any]) -> running.Run:
        if threads < 1:
            raise BenchgateError(f"threads={threads}: at least 1 is needed")
        self.close()
        path, self._session = running.load(cell, threads)
        return running.prepare(cell, path, self._session, threads, operation, params)

    @property
    def session(self) -> Any:
        """The loaded session, for a test that wants to ask the model something itself."""
        if self._session is None:
            self._session = running.load(self.cell, usable_cores())[1]
        return self._session

    def close(self) -> None:
        """Free the loaded model. The fixture calls it after the test."""
        if self._session is not None:
            self._session.close()
            self._session = None


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """A test's parameters as JSON can hold them: an object becomes its text."""
    return {k: v if v is None or isinstance(v, bool | int | float | str) else str(v) for k, v in params.items()}


def _finite(record: Record) -> Record:
    """The record itself. Raises InvalidOutput for a figure that must not be kept: NaN, infinity, a negative time."""
    for name, metric in record.metrics.items():
        if reason := refusal(name, metric):
            raise InvalidOutput(f"{record.key}: {reason}; the model's output cannot be scored")
    return record
