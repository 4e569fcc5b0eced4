"""The `cell` fixture's object: what a test sees of one cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchgate.core import BenchgateError, Cell, InvalidOutput, Unavailable, Work
from benchgate.core.metrics import refusal
from benchgate.executors.local import Local
from benchgate.executors.place import Inline
from benchgate.executors.team import compare
from benchgate.gate import paired
from benchgate.gate.side_by_side.verdict import Verdict
from benchgate.machine.devices import usable_cores
from benchgate.measuring import run as running
from benchgate.measuring.held import Held
from benchgate.measuring.in_turn import InTurn, Limits
from benchgate.measuring.meters import Meter, chosen
from benchgate.measuring.resolved import Resolved, resolve
from benchgate.pytest_plugin.replica import Options
from benchgate.pytest_plugin.rounds import BlockRounds
from benchgate.pytest_plugin.suite_run import SuiteRun
from benchgate.results import Record
from benchgate.schemes import REFERENCE


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
    """One cell of the matrix in one test. `measure` is used once a test; the rest as often as one likes.

    `scheme`, `runtime` and `device` are the cell's names, `model` is the model itself. `options` are pytest-benchmark's
    for this test; `meters` the command line's choice, `also` more of its meters; `local` has the processes.
    """

    def __init__(
        self,
        cell: Cell,
        key: str,
        params: Mapping[str, Any],
        benchmark: Any,
        options: Options,
        meters: Sequence[str] | None,
        suite_run: SuiteRun,
        local: Local,
        also: Sequence[Meter] = (),
    ) -> None:
        self.cell = cell
        self._of = resolve(cell, local.settings.way)
        self._key, self._params, self._benchmark, self._options = key, dict(params), benchmark, options
        self._meters, self._also, self._in, self._local = meters, also, suite_run, local
        # What `session` gives to the test itself, in the pytest process.
        self._own = Held()
        self._place = local.place(self._of, self._own)

    def __str__(self) -> str:
        return str(self.cell)

    @property
    def model(self) -> Any:
        return self._of.model

    @property
    def scheme(self) -> str:
        return self.cell.scheme

    @property
    def runtime(self) -> str:
        return self.cell.runtime

    @property
    def device(self) -> str:
        return self.cell.device

    def measure(
        self,
        operation: str | None = None,
        *,
        inputs: Any = None,
        data: Any = None,
        meters: Sequence[str] | None = None,
        threads: int | None = None,
        **params: Any,
    ) -> Result:
        """Measure one operation of the cell's task (its first where none is named), with `params` as its arguments.

        It runs on `inputs`, the task's own where None. Scores accuracy where no operation is named or `data` is given.
        `meters` are those of `benchgate.measuring.meters` to use beside latency, which always is; None are size,
        memory, and energy where a counter can be read; `--cell-meters` goes before. Returns the values.
        """
        others = self._meters if self._meters is not None else meters
        threads = _threads(threads)
        shown = plain({**self._params, **params, **self._of.shown})
        patience = self._in.patience
        order = running.Order(
            of=self._of,
            key=self._key,
            threads=threads,
            operation=operation,
            params=params,
            shown=shown,
            meters=chosen(others, self.device, self._also),
            rounds=BlockRounds(self._options, patience.left(), patience.best_reference_s),
            inputs=inputs,
            scored=operation is None or data is not None,
            data=data,
            given=self._in.given.get(self._key),
        )
        if self._in.intercept is not None:
            raise self._in.intercept(order)
        self._own.close()
        try:
            self._in.builds.check(self.cell)
            record, rounds = running.measure(self._place, order)
            record = _finite(record)
        except BaseException:
            # Half a measurement, also one cut by Ctrl-C, is none: it does not go into pytest-benchmark's file.
            self._benchmark.has_error = True
            self._in.attempts[self._key] = running.attempted(self._of, self._key, threads, operation or "", shown)
            raise
        assert isinstance(rounds, BlockRounds)
        rounds.give_to(self._benchmark)
        self._in.patience.spent(rounds.blocks)
        return self._keep(record)

    def against(
        self,
        other: Cell | Work | Callable[[], Any],
        operation: str | None = None,
        *,
        inputs: Any = None,
        threads: int | None = None,
        limits: Limits = Limits(),  # noqa: B008  frozen
        **params: Any,
    ) -> InTurn:
        """Time an operation of this cell and another thing in turn, and return how much longer this cell takes.

        `other` is a cell, which does the same operation on the same inputs; or any function without arguments, or a
        `Work` where it needs something before each call. Where `measure` came before, its record keeps the result.
        Raises Unavailable, a skip, for a cell that cannot run here.
        """
        threads = _threads(threads)
        if isinstance(other, Cell):
            place: running.Place = self._place
            theirs: Resolved | Work = self._checked(other)
        else:
            # A function of the test's own lives in this process, and so must the cell.
            place, theirs = Inline(self._place.elsewhere, self._own), other if isinstance(other, Work) else Work(other)
        found: InTurn = place.call(running.against, self._of, threads, operation, params, inputs, theirs, limits)
        if self._key in self._in.records:
            record = self._in.records[self._key]
            name = str(other) if isinstance(other, Cell) else "a loop of the test's own"
            kept = [*record.details.get("against", ()), {"other": name, **found.as_dict()}]
            self._keep(replace(record, details={**record.details, "against": kept}))
        return found

    def side_by_side(
        self,
        other: Cell,
        operation: str | None = None,
        *,
        inputs: Any = None,
        threads: int | None = None,
        budget_s: float | None = 300.0,
        **params: Any,
    ) -> Verdict:
        """Return the verdict on an operation of this cell against another cell's, by fresh workers of each in turn.

        `verdict.change` is how much longer this cell takes, with its 95 % interval: below -1/3 it is 1.5 times as fast.
        Where `measure` came before, its record keeps the verdict. Raises Unavailable, a skip, for a cell that cannot
        run here.
        """
        theirs = self._checked(other)
        self._place.close()
        found = compare(self._local, self._of, theirs, operation, params, inputs, _threads(threads), budget_s=budget_s)
        if self._key in self._in.records:
            record = self._in.records[self._key]
            kept = [*record.details.get("side_by_side", ()), {"other": str(other), **found.as_dict()}]
            self._keep(replace(record, details={**record.details, "side_by_side": kept}))
        return found

    def _keep(self, record: Record) -> Result:
        self._benchmark.extra_info["benchgate"] = record.as_dict()
        self._in.records[self._key] = record
        return Result(record)

    def _measured(self, what: str) -> Record:
        if self._key not in self._in.records:
            raise BenchgateError(f"{self.cell}: {what} comes after cell.measure(...), whose record it adds to")
        return self._in.records[self._key]

    def fidelity(self, data: Any, scheme: str = REFERENCE["scheme"], runtime: str | None = None) -> Result:
        """How far this cell's outputs are from those of another scheme of the same model, on `data`: kl_mean, ...

        Called after `measure`, whose record it adds to; both models are loaded at once, after everything that is timed
        or weighed. `runtime` is the other's, this cell's own where None. Raises BenchgateError for a task whose outputs
        have no such comparison.
        """
        record = self._measured("fidelity")
        other = self._other(scheme, runtime)
        found = self._place.call(running.fidelity, self._of, usable_cores(), other, data)
        described = data.describe() if hasattr(data, "describe") else None
        about = {"reference": str(other.cell), "data": described, "metrics": list(found)}
        metrics = {**record.metrics, **found}
        return self._keep(_finite(replace(record, metrics=metrics, details={**record.details, "fidelity": about})))

    def decide(self, verdict: paired.Verdict) -> None:
        """Keep the answer to a floor in the record, and fail the test where the floor fails.

        "undecidable" is not a pass in silence: the summary names it, with how many examples would decide it.
        Called after `measure`: `cell.decide(paired.floor(result.record, reference.record, 0.99, "top1"))`.
        """
        record = self._measured("decide")
        floors = [*record.details.get("floors", ()), verdict.as_dict()]
        self._keep(replace(record, details={**record.details, "floors": floors}))
        assert verdict.answer != "fails", str(verdict)

    def reference(self, scheme: str = REFERENCE["scheme"], runtime: str | None = None, data: Any = None) -> Result:
        """The accuracy of another scheme of the same model and data: this session's own, or else scored now.

        What a floor is held against: `assert result["top1"] >= 0.9 * cell.reference(data=passages)["top1"]`.
        """
        other = self._other(scheme, runtime)
        about = data.describe() if hasattr(data, "describe") else None
        known = self._in.scored(self._key, other.cell, about)
        if known is not None:
            return Result(known)
        self.close()
        place = self._local.place(other, Held())
        try:
            key = f"{self._key} (reference {other.cell})"
            given = self._in.given_references.get(str(other.cell))
            record = _finite(place.call(running.score, other, usable_cores(), key, data, given))
        finally:
            place.close()
        self._in.keep_reference(self._key, other.cell, about, record)
        return Result(record)

    def _other(self, scheme: str, runtime: str | None) -> Resolved:
        return self._checked(replace(self.cell, scheme=scheme, runtime=runtime or self.cell.runtime))

    def _checked(self, other: Cell) -> Resolved:
        """The cell that this one is held against. Raises Unavailable, a skip, where it cannot run here."""
        resolved = resolve(other, self._of.way)
        if reason := resolved.missing():
            raise Unavailable(f"{other}, which {self.cell} is held against, cannot run: {reason}")
        return resolved

    @property
    def session(self) -> Any:
        """The loaded session in the pytest process, for a test that wants to ask the model something itself.

        It is another one than what was measured in a worker, of the same artifact.
        """
        return self._own.open(self._of).session

    def close(self) -> None:
        """Free the loaded model. The fixture calls it after the test."""
        self._own.close()
        self._place.close()


def _threads(asked: int | None) -> int:
    if asked is None:
        return usable_cores()
    if asked < 1:
        raise BenchgateError(f"threads={asked}: at least 1 is needed")
    return asked


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """A test's parameters as JSON can hold them: an object becomes its text."""
    return {k: v if v is None or isinstance(v, bool | int | float | str) else str(v) for k, v in params.items()}


def _finite(record: Record) -> Record:
    """The record itself. Raises InvalidOutput for a figure that must not be kept: NaN, infinity, a negative time."""
    for name, metric in record.metrics.items():
        if reason := refusal(name, metric):
            raise InvalidOutput(f"{record.key}: {reason}; the model's output cannot be scored")
    return record
