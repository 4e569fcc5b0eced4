"""Support, what a runtime can do with a model: rows, and what follows from them.

A row (runtime, task) names the session and, where one is needed, the exporter that writes the artifact; a row (runtime,
method) names what compresses. `refusal` is the absence of a row. Targets are text, imported when they are used::

    benchgate.support.session("torch", "spelling", "mine:SpellingSession")
    benchgate.support.compressor("onnxruntime", "float", task="spelling", dtypes=("float32",))

What a target is called with is the runtime's own affair: see its `rows.py`, and docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from benchgate.core.errors import BenchgateError, DuplicateName
from benchgate.core.protocols import (
    Buildable,
    Calibrated,
    FromFile,
    Model,
    NeedsToBuild,
    OwnTask,
    Runtime,
    SharesSupport,
    Stepwise,
)
from benchgate.core.registry import tasks
from benchgate.core.transformed import steps_of
from benchgate.core.words import Scheme

# A row for every task that is one call of the session on `task.sample(...)`; for every task, or every method.
ONE_CALL, ANY = "one-call", "*"
# The `format` of a runtime whose artifact is no model.
NO_MODEL = "none"


@dataclass(frozen=True)
class SessionRow:
    """How `runtime` runs models of `task` (a name, or ONE_CALL).

    It is built from what the method `builder` returns, called `product` in messages, or from the model's own file with
    a suffix of `files`; "" asks nothing of the model. `by_name`: layers of what is built are read by their names, so
    that no step may replace them. `refuses`, `(model, scheme, runtime's name) -> reason or None`, narrows the row.
    """

    runtime: str
    task: str
    session: str
    exporter: str = ""
    builder: str = "build"
    product: str = "torch modules"
    files: tuple[str, ...] = ()
    refuses: str = ""
    by_name: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        return self.runtime, self.task

    @property
    def targets(self) -> tuple[str, ...]:
        return self.session, self.exporter, self.refuses

    def file_of(self, model: Model) -> Path | None:
        """The model's own file where this runtime takes it as it is, or None."""
        # Not isinstance(): asked while building too, where the model may be in a wrapper that delegates.
        path = getattr(model, "path", None)
        return Path(path) if path is not None and Path(path).suffix in self.files else None


@dataclass(frozen=True)
class CompressorRow:
    """How `runtime` compresses by `method` (a name, or ANY): `target`, "" where there is nothing to do.

    `task` is a name, ONE_CALL or ANY. `dtypes` are those of the method "float"; `calibrated` asks the model for
    `calibration()`; `refuses` is as in SessionRow.
    """

    runtime: str
    method: str
    target: str = ""
    task: str = ANY
    dtypes: tuple[str, ...] = ()
    calibrated: bool = False
    refuses: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return self.runtime, self.method, self.task

    @property
    def targets(self) -> tuple[str, ...]:
        return self.target, self.refuses


Row = TypeVar("Row", SessionRow, CompressorRow)


class Rows(Generic[Row]):
    """Rows by key; one registered twice must be the same."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], Row] = {}

    def add(self, row: Row) -> Row:
        """Register a row. Raises DuplicateName for another one in its place, BenchgateError for a target of no form."""
        known = self._rows.get(row.key)
        if known is not None and known != row:
            raise DuplicateName(f"support {' + '.join(row.key)} is registered twice: {known} and {row}; remove one")
        for target in filter(None, row.targets):
            if not all(target.partition(":")):
                raise BenchgateError(f"support {' + '.join(row.key)}: target {target!r}; write it as 'module:name'")
        self._rows[row.key] = row
        return row

    def get(self, *key: str) -> Row | None:
        return self._rows.get(key)

    def all(self) -> list[Row]:
        """All rows, in the order of their registration."""
        return list(self._rows.values())

    def of(self, runtime: str) -> list[Row]:
        """The rows of one runtime, in the order of their registration."""
        return [row for row in self._rows.values() if row.runtime == runtime]

    @contextmanager
    def extended(self, *rows: Row) -> Iterator[None]:
        """Have these rows too, and in place of others with their keys; what was there before is back afterwards."""
        before = self._rows
        self._rows = {**before, **{row.key: row for row in rows}}
        try:
            yield
        finally:
            self._rows = before


sessions: Rows[SessionRow] = Rows()
compressors: Rows[CompressorRow] = Rows()


def session(
    runtime: str,
    task: str,
    target: str,
    *,
    exporter: str = "",
    builder: str = "build",
    product: str = "torch modules",
    files: tuple[str, ...] = (),
    refuses: str = "",
    by_name: bool = False,
) -> SessionRow:
    """Register the session of a runtime for a task; see SessionRow. Raises DuplicateName for another one there."""
    return sessions.add(SessionRow(runtime, task, target, exporter, builder, product, files, refuses, by_name))


def compressor(
    runtime: str,
    method: str,
    target: str = "",
    *,
    task: str = ANY,
    dtypes: tuple[str, ...] = (),
    calibrated: bool = False,
    refuses: str = "",
) -> CompressorRow:
    """Register how a runtime compresses by a method; see CompressorRow. Raises DuplicateName for another one there."""
    return compressors.add(CompressorRow(runtime, method, target, task, dtypes, calibrated, refuses))


def session_row(model: Model, runtime: Runtime) -> SessionRow:
    """The row by which this runtime runs the model. Raises BenchgateError where it has none."""
    found = _session_row(model, runtime)
    if found is None:
        raise BenchgateError(_no_session(model, runtime))
    return found


def compressor_row(model: Model, scheme: Scheme, runtime: Runtime) -> CompressorRow:
    """The row by which this runtime compresses the model. Raises BenchgateError where it has none."""
    found = _compressor_row(model, scheme, runtime)
    if found is None:
        raise BenchgateError(_no_compressor(scheme, runtime))
    return found


def imported(target: str) -> Any:
    """The object at "module:name". Raises BenchgateError where there is none."""
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except AttributeError as error:
        raise BenchgateError(f"support target {target!r}: module {module} has no {name}; correct the row") from error


def refusal(model: Model, scheme: Scheme, runtime: Runtime) -> str | None:
    """Why this combination makes no sense anywhere, or None. Cheap: asked at collection."""
    row = _session_row(model, runtime)
    if row is None:
        return _no_session(model, runtime)
    return (
        _refused_source(model, row, runtime)
        or _refused_steps(model, scheme, row, runtime)
        or _narrowed(row.refuses, model, scheme, runtime)
        or _refused_method(model, scheme, runtime)
    )


def _refused_source(model: Model, row: SessionRow, runtime: Runtime) -> str | None:
    if not row.builder or row.file_of(model) is not None or hasattr(model, row.builder):
        return None
    takes = f"{runtime.name} takes {' and '.join((row.product, *row.files))}"
    if isinstance(model, FromFile) and model.path is not None:
        return f"{model.name} is {Path(model.path).name}, {takes}"
    return f"{model.name} has no {row.builder}(), {takes}"


def _refused_steps(model: Model, scheme: Scheme, row: SessionRow, runtime: Runtime) -> str | None:
    if not scheme.steps:
        return None
    steps = "+".join(scheme.steps)
    if not isinstance(model, Buildable):
        return f"{model.name} has no build(), {steps} works on torch modules"
    if runtime.format == NO_MODEL or row.builder != "build":
        return f"{runtime.name} does not run what build() returns, {steps} works on that"
    if row.by_name and any(step.replaces_layers for step in steps_of(scheme)):
        return f"{runtime.name} reads layers by their names, {steps} replaces some"
    return None


def _refused_method(model: Model, scheme: Scheme, runtime: Runtime) -> str | None:
    row = _compressor_row(model, scheme, runtime)
    if row is None:
        return _no_compressor(scheme, runtime)
    if row.dtypes and scheme.options.get("dtype") not in row.dtypes:
        return f"{runtime.name} has no {scheme.name}, only {', '.join(row.dtypes)}"
    if row.calibrated and not isinstance(model, Calibrated):
        return f"{model.name} has no calibration(), which {scheme.name} needs"
    return _narrowed(row.refuses, model, scheme, runtime)


def _narrowed(target: str, model: Model, scheme: Scheme, runtime: Runtime) -> str | None:
    return imported(target)(model, scheme, runtime.name) if target else None


def _session_row(model: Model, runtime: Runtime) -> SessionRow | None:
    places = _places(runtime, "sessions_of")
    kinds = (model.task,) if is_stepwise(model.task) else (model.task, ONE_CALL)
    return next((row for place in places for kind in kinds if (row := sessions.get(place, kind))), None)


def _compressor_row(model: Model, scheme: Scheme, runtime: Runtime) -> CompressorRow | None:
    places = _places(runtime, "compressors_of")
    kinds = (model.task, ANY) if is_stepwise(model.task) else (model.task, ONE_CALL, ANY)
    keys = ((place, method, kind) for place in places for kind in kinds for method in (scheme.method, ANY))
    return next((row for key in keys if (row := compressors.get(*key))), None)


def _places(runtime: Runtime, kind: str) -> tuple[str, ...]:
    """The names whose rows the runtime has: its own first, then those it shares."""
    return (runtime.name, getattr(runtime, kind)) if isinstance(runtime, SharesSupport) else (runtime.name,)


def _no_session(model: Model, runtime: Runtime) -> str:
    known = [row.task for place in _places(runtime, "sessions_of") for row in sessions.of(place)]
    if ONE_CALL in known:
        return f"{model.task} models are run step by step, {runtime.name} runs one call on its inputs"
    return f"{runtime.name} runs {', '.join(dict.fromkeys(known)) or 'no'} models, {model.name} is for {model.task}"


def _no_compressor(scheme: Scheme, runtime: Runtime) -> str:
    return f"{runtime.name} has no {scheme.method} compression"


def is_stepwise(task: str) -> bool:
    """Is a model of this task run by more than one call of its session on the task's sample?"""
    if task not in tasks:
        return False
    known = tasks[task]
    return isinstance(known, Stepwise) and known.stepwise


def all_needs(runtime: Runtime) -> Mapping[str, str]:
    """Import name -> extra of everything that decides what a runtime's figures are: to run and to build."""
    return {**runtime.needs, **(runtime.build_needs if isinstance(runtime, NeedsToBuild) else {})}


def task_of(model: Model, runtime: Runtime) -> str:
    """The name of the task that this runtime does with the model: the model's own, or the runtime's (training)."""
    return runtime.task if isinstance(runtime, OwnTask) else model.task
