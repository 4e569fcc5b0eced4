"""The words of benchgate: Cell, Scheme, Metric, Work, the protocols and the registries.

Everything else is written in these words. Nothing here imports an ML library, so `import benchgate`
stays cheap and the logic can be tested with fakes.

Exceptions::

    BenchgateError            anything benchgate itself has to say to the user, without a traceback
    +-- UnknownName           a model, scheme, runtime, device or task that nobody registered
    +-- DuplicateName         two objects registered under one name
    +-- Unavailable           cannot be had here and now (no CUDA, package missing): a skip, never a zero
    +-- InvalidOutput         the model answered with something that must not be scored (NaN, wrong shape)
    +-- DataError             a data set, model file or other input that cannot be read
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

Better = Literal["lower", "higher"]
# More per-example results than this are not stored: a results file is to be read by people and kept by the hundred.
MAX_EXAMPLES = 20_000


class BenchgateError(Exception):
    """Base of all errors whose message is written for the user: what was wrong, what is allowed, what to type."""


class UnknownName(BenchgateError):
    """A name that is in no registry; the message has the near matches and the whole list."""


class DuplicateName(BenchgateError):
    """Two registrations under one name; the message names both places."""


class Unavailable(BenchgateError):
    """Something cannot be had on this machine; `str(error)` is the reason that the report shows."""


class InvalidOutput(BenchgateError):
    """A model's output that must not be scored or timed as if it were right."""


class DataError(BenchgateError):
    """Input that cannot be used; the message names the file, the line if there is one, and the next command."""


@dataclass(frozen=True, order=True)
class Cell:
    """One combination of the matrix. `str(cell)` is the test id."""

    model: str
    scheme: str
    runtime: str
    device: str

    def __str__(self) -> str:
        return "-".join((self.model, self.scheme, self.runtime, self.device))


@dataclass(frozen=True)
class Scheme:
    """How a model is compressed; plain data, read by the runtimes.

    `bits` is the nominal width of a weight, `method` the family that a runtime looks up to know what to do
    ("float", "int8-dynamic", ...), `options` the method's own settings (group size, ...).
    """

    name: str
    bits: float
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "bits": self.bits, "method": self.method, "options": dict(self.options)}


@dataclass(frozen=True)
class Metric:
    """One measured figure with its 95 % interval (`low`, `high`; None where there is none).

    `n` counts the independent observations behind it. `method` says how value and interval were obtained,
    and holds the word "estimate" when the figure is not a measurement. `examples` are the single results behind it, in
    the data's order (hits as 0 and 1, log losses): with them two cells can be compared example by example.
    """

    value: float
    unit: str
    better: Better
    n: int = 1
    low: float | None = None
    high: float | None = None
    method: str = ""
    examples: tuple[float, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready. The examples are one text, six digits each: a list takes a line an item in an indented file."""
        fields = asdict(self)
        del fields["examples"]
        if 0 < len(self.examples) <= MAX_EXAMPLES:
            fields["examples"] = " ".join(f"{value:.6g}" for value in self.examples)
        return fields


@dataclass(frozen=True)
class Work:
    """One thing to time: `call()` does it once and returns its output.

    `units` is what one call processes (tokens, images, ...) and `throughput` the metric it yields.
    `check(output)` raises InvalidOutput for an answer that must not count. `laps` are lists of seconds that
    `call` itself appends to, one entry a call (time to first token, forward, ...): metric name -> samples.
    `prepare()` runs before each timed call, outside the timer.
    """

    call: Callable[[], Any]
    units: float = 1.0
    throughput: str = "throughput_per_s"
    check: Callable[[Any], None] | None = None
    laps: Mapping[str, list[float]] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None


class Model(Protocol):
    """Something to measure. Called by runtimes; heavy imports belong inside `build`.

    `version` is kept with every result: another version is "new", not "regressed".
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def task(self) -> str: ...

    def build(self) -> Any:
        """Return the full-precision module (a `torch.nn.Module` for the torch-based runtimes)."""


class Session(Protocol):
    """A loaded model, ready to run. Calling it with a task's inputs returns the model's outputs.

    `kernel` says what really runs: dtypes, kernels, delegates; it is stored with every result.
    `weights_bytes` is the memory that the weights take, or None where the runtime does not tell. `identity` is set by
    whoever loads it: artifact, device and threads, for partial results that are kept.

    A session may have `observe(call) -> dict`, more about the kernels from watching one call.
    """

    kernel: Mapping[str, Any]
    weights_bytes: int | None
    identity: str

    def __call__(self, inputs: Any) -> Any: ...

    def close(self) -> None:
        """Free the model's memory; the session is not used afterwards."""


class Task(Protocol):
    """What a model is for. `unit` is what its throughput counts: images, tokens, queries.

    A task may have `operations`, a mapping from name to `f(session, model, **params) -> Work`; the first is the
    default one. Without it the only operation is one call of the session on `sample(model, batch)`. It may have
    `fidelity(reference, session, model, data) -> metrics`: how far a compressed model's outputs are from another's.
    """

    name: str
    unit: str

    def sample(self, model: Any, batch: int) -> Any:
        """Return the inputs of one call of `model` with `batch` items."""

    def score(self, session: Session, model: Any, data: Any) -> Mapping[str, Metric]:
        """Return the accuracy metrics of `session` on `data` (the task's own default where `data` is None)."""


class Runtime(Protocol):
    """What executes a model.

    `needs` maps the import names it cannot do without to the extra that installs them; that one fact decides
    availability, the skip's reason and the install hint. `format` names its artifact's file format. A runtime whose
    `build` takes more packages than its `load` names those in `build_needs`: their versions decide what it writes, but
    they are not imported to run it. One that does something else with a model than what that is for (training it) names
    its own `task`. The `format` "none" says that the artifact is no model: it has no size.
    """

    name: str
    format: str
    needs: Mapping[str, str]

    def refuses(self, model: Model, scheme: Scheme) -> str | None:
        """Why this combination makes no sense anywhere, or None. Cheap: called at collection."""

    def missing(self, device: str) -> str | None:
        """Why this runtime cannot run on `device` on this machine although its packages are there, or None."""

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        """Write the compressed model into the empty folder `out`."""

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        """Load what `build` wrote, to run on `device` with `threads` threads."""


@runtime_checkable
class Meter(Protocol):
    """One instrument. `measure(run)` returns metrics; raises Unavailable(reason) where it cannot."""

    name: str

    def measure(self, run: Any) -> Mapping[str, Metric]: ...


Named = TypeVar("Named")


class Registry(Generic[Named]):
    """Objects by name, with errors that help. `kind` is the word used in messages ("model", "runtime")."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, Named] = {}
        self.resolve: Callable[[str], Named | None] = lambda name: None

    def add(self, item: Any) -> Any:
        """Register an object, or a class (then one instance of it); returns what was given: a decorator.

        Raises DuplicateName when another object has the name; the same class imported twice is no duplicate.
        """
        instance = item() if isinstance(item, type) else item
        known = self._items.get(instance.name)
        if known is not None and _origin(known) != _origin(instance):
            raise DuplicateName(
                f"{self.kind} {instance.name!r} is registered twice: by {_origin(known)} and by {_origin(instance)}; "
                "rename one of them"
            )
        self._items[instance.name] = instance
        return item

    def __getitem__(self, name: str) -> Named:
        found = self._items[name] if name in self._items else self.resolve(name)
        if found is None:
            raise UnknownName(self.unknown(name))
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def values(self) -> Sequence[Named]:
        return [self._items[name] for name in self]

    def unknown(self, name: str) -> str:
        """The message for a name that is not here."""
        return unknown_name(self.kind, name, list(self))


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """`unknown runtime 'onnx'; did you mean 'onnxruntime'? known: ggml, gptq, ...`."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or [k for k in known if name and name in k][:3]
    hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ";"
    return f"unknown {kind} {name!r}{hint} known: {', '.join(known) or 'none'}"


def _origin(instance: Any) -> str:
    """Where an object was defined, for the duplicate message: module and class, plus its own data."""
    cls = type(instance)
    return f"{cls.__module__}.{cls.__qualname__}" + (f" {instance!r}" if hasattr(cls, "__dataclass_fields__") else "")


models: Registry[Model] = Registry("model")
schemes: Registry[Scheme] = Registry("scheme")
runtimes: Registry[Runtime] = Registry("runtime")
tasks: Registry[Task] = Registry("task")


def all_needs(runtime: Runtime) -> Mapping[str, str]:
    """Import name -> extra of everything that decides what a runtime's figures are: to run and to build."""
    return {**runtime.needs, **getattr(runtime, "build_needs", {})}


def task_of(model: Model, runtime: Runtime) -> str:
    """The name of the task that this runtime does with the model: the model's own, or the runtime's (training)."""
    return getattr(runtime, "task", model.task)


def operations(task: Task) -> Mapping[str, Callable[..., Work]]:
    """The task's operations, default first; a task without any has one, `call`."""
    return getattr(task, "operations", None) or {"call": _call_operation}


def _call_operation(session: Session, model: Model, batch: int = 1) -> Work:
    inputs = tasks[model.task].sample(model, batch)
    return Work(call=lambda: session(inputs), units=batch)
