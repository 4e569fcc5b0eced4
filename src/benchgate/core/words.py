"""The words of benchgate that are plain data: Cell, Scheme, Metric, Work, Lapped."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Better = Literal["lower", "higher"]
# More per-example results than this are not stored: a results file is to be read by people and kept by the hundred.
MAX_EXAMPLES = 20_000
# Fields of a metric that are many numbers.
SERIES = ("examples", "resamples")
# How a runtime may load weights: left in their file, which is mapped into memory; or copied into the process's own
# memory, packed for its kernels or as they are.
LOAD_WAYS = ("mmap", "read")


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
    ("float", "int8-dynamic", ...), `options` the method's own settings (group size, ...). `steps` are the transforms
    that change the torch module before that ("prune-50"), in their order.
    """

    name: str
    bits: float
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; all that decides what an artifact holds."""
        found = {"name": self.name, "bits": self.bits, "method": self.method, "options": dict(self.options)}
        return {**found, "steps": list(self.steps)} if self.steps else found


@dataclass(frozen=True)
class Metric:
    """One measured figure with its 95 % interval (`low`, `high`; None where there is none).

    `n` counts the independent observations behind it. `method` says how value and interval were obtained,
    and holds the word "estimate" when the figure is not a measurement. `examples` are the single results behind it, in
    the data's order (hits as 0 and 1, log losses): with them two cells can be compared example by example. A figure
    that is no mean of single results has `resamples` instead: its values on the data drawn again, the same draws for
    all cells that were scored on these data, so that value i of two cells is of the same sample.
    """

    value: float
    unit: str
    better: Better
    n: int = 1
    low: float | None = None
    high: float | None = None
    method: str = ""
    examples: tuple[float, ...] = ()
    resamples: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # Scorers return numpy's numbers, which compare like ours and which no JSON can hold.
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "n", operator.index(self.n))
        for bound in ("low", "high"):
            number = getattr(self, bound)
            object.__setattr__(self, bound, None if number is None else float(number))
        for name in SERIES:
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready. A series is one text, six digits each: a list takes a line an item in an indented file."""
        fields = asdict(self)
        for name in SERIES:
            values = fields.pop(name)
            if 0 < len(values) <= MAX_EXAMPLES:
                fields[name] = " ".join(f"{value:.6g}" for value in values)
        return fields


@dataclass(frozen=True)
class Lapped:
    """The output of a call that timed its own parts: metric name -> seconds of this one call."""

    output: Any
    laps: Mapping[str, float]


@dataclass(frozen=True)
class Work:
    """One thing to time: `call()` does it once and returns its output.

    `units` is what one call processes (tokens, images, ...) and `throughput` the metric it yields.
    `check(output)` raises InvalidOutput for an answer that must not count; it sees the output of every timed call,
    after the timer. A call that times its own parts names them in `laps` and returns a `Lapped`.
    `begin()` is what the session must have done before the first call (reading a prompt), its time is part of
    `first_call_s`; `prepare()` runs before each timed call, outside the timer.
    With `turns`, `call(turn)` takes one of them after the other: a measurement makes whole passes, so that every cell
    and every run is measured on the same ones, however long a call takes.
    """

    call: Callable[..., Any]
    units: float = 1.0
    throughput: str = "throughput_per_s"
    check: Callable[[Any], None] | None = None
    laps: tuple[str, ...] = ()
    prepare: Callable[[], None] | None = None
    begin: Callable[[], None] | None = None
    turns: Sequence[Any] | None = None

    def started(self) -> Callable[[], Any]:
        """Return the call without arguments; with turns one that begins with the first of them, and goes round."""
        if self.turns is None:
            return self.call
        call, following = self.call, itertools.cycle(self.turns)
        return lambda: call(next(following))
