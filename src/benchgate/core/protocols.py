"""Members of a model, task, runtime and session. Small protocols that a class fulfils by having the members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from benchgate.core.words import Metric, Scheme


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

    What a session may have beside: Observable, CountsFlops, ProfilesMemory.
    """

    kernel: Mapping[str, Any]
    weights_bytes: int | None
    identity: str

    def __call__(self, inputs: Any) -> Any: ...

    def close(self) -> None:
        """Free the model's memory; the session is not used afterwards."""


class Task(Protocol):
    """The purpose of a model. `unit` is what its throughput counts: images, tokens, queries.

    A task may have `operations`, a mapping from name to `f(session, model, inputs, **params) -> Work`; the first is the
    default one. Without it the only operation is one call of the session on its inputs. Inputs are the test's
    (`cell.measure(..., inputs=...)`), else those of the task's `inputs(model, params)`, else `sample(model, batch)`.
    What a task may have beside: Stepwise, HasFidelity, NeedsData.
    """

    name: str
    unit: str

    def sample(self, model: Any, batch: int) -> Any:
        """Return the inputs of one call of `model` with `batch` items."""

    def score(self, session: Session, model: Any, data: Any) -> Mapping[str, Metric]:
        """Return the accuracy metrics of `session` on `data` (the task's own default where `data` is None)."""


class Runtime(Protocol):
    """An engine that executes models. Which models and schemes it takes is said by its rows of support, not by itself.

    `needs` maps the import names it cannot do without to the extra that installs them; that one fact decides
    availability, the skip's reason and the install hint. `format` names its artifact's file format; "none" says that
    the artifact is no model: it has no size. What a runtime may have beside: NeedsToBuild, LoadsInWays, OwnTask,
    SharesSupport.
    """

    @property
    def name(self) -> str: ...

    @property
    def format(self) -> str: ...

    @property
    def needs(self) -> Mapping[str, str]: ...

    def missing(self, device: str) -> str | None:
        """Why this runtime cannot run on `device` on this machine although its packages are there, or None."""

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        """Write the compressed model into the empty folder `out`."""

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        """Load what `build` wrote, to run on `device` with `threads` threads."""


class Transform(Protocol):
    """A step of a scheme that changes the torch module before any runtime sees it: `prune-50`.

    `apply` gets the number behind the name, None where there is none. What a transform may have beside: ChecksAmount,
    Reshapes, ReshapesByShape, ReplacesLayers, TellsFigures.
    """

    name: str

    def apply(self, module: Any, amount: float | None) -> Any:
        """Return the changed module, which may be the given one. Raises BenchgateError for an amount it cannot do."""


# What a model may have.


@runtime_checkable
class Buildable(Protocol):
    """A model that makes a torch module, as most do; a file of some runtime's format does not."""

    def build(self) -> Any: ...


@runtime_checkable
class Structured(Protocol):
    """A model that makes its module without its weights' values, cheaply: they are read from the artifact."""

    def structure(self) -> Any: ...


@runtime_checkable
class FromFile(Protocol):
    """A model that is a file already."""

    @property
    def path(self) -> str | Path: ...


@runtime_checkable
class Calibrated(Protocol):
    """A model with inputs to calibrate full-integer schemes on, one call's at a time."""

    def calibration(self) -> Iterable[Any]: ...


@runtime_checkable
class HasArchitecture(Protocol):
    """A model that names what it is made of, where a runtime knows only some architectures."""

    @property
    def architecture(self) -> str: ...


# What a task may have.


@runtime_checkable
class Stepwise(Protocol):
    """A task whose models are run by more than one call (prefill and decode, forward and backward).

    A runtime needs a session of its own for it: without a row of support it refuses, it does not try.
    """

    stepwise: bool


@runtime_checkable
class HasFidelity(Protocol):
    """A task that can tell how far one session's outputs are from another's on the same data."""

    def fidelity(self, reference: Any, session: Any, model: Any, data: Any) -> Mapping[str, Metric]: ...


@runtime_checkable
class NeedsData(Protocol):
    """A task that has no data of its own. `without_data` maps each metric that data would give to the reason why it is
    missing. Its `score` is not called without data."""

    without_data: Mapping[str, str]


# What a session may have.


@runtime_checkable
class Observable(Protocol):
    """A session that tells more about its kernels from watching one call."""

    def observe(self, call: Callable[[], Any]) -> dict[str, Any]: ...


@runtime_checkable
class CountsFlops(Protocol):
    """A session that counts the floating-point operations of its work."""

    def flops(self) -> Any: ...


@runtime_checkable
class ProfilesMemory(Protocol):
    """A session that tells its memory by what it is for, over time."""

    def memory_by_part(self) -> Mapping[str, Any]: ...


# What a runtime may have.


@runtime_checkable
class NeedsToBuild(Protocol):
    """A runtime whose `build` takes more packages than its `load`: their versions decide what it writes too."""

    @property
    def build_needs(self) -> Mapping[str, str]: ...


@runtime_checkable
class LoadsInWays(Protocol):
    """A runtime that loads one artifact in more than one way: those of LOAD_WAYS that it has, its default first.

    Its `load` takes a keyword `way`, one of them; without it the default. It raises Unavailable with the reason where a
    way is not for this artifact (weights inside a file that is read whole).
    """

    @property
    def ways(self) -> tuple[str, ...]: ...


@runtime_checkable
class OwnTask(Protocol):
    """A runtime that does something else with a model than what that is for: training it."""

    @property
    def task(self) -> str: ...


@runtime_checkable
class SharesSupport(Protocol):
    """A runtime that has, beside its own rows of support, those of another: compiled torch has torch's."""

    @property
    def sessions_of(self) -> str: ...

    @property
    def compressors_of(self) -> str: ...


# What a transform may have.


@runtime_checkable
class ChecksAmount(Protocol):
    """A transform that refuses amounts when the scheme is named, before anything is built."""

    def check(self, amount: float | None) -> None:
        """Raise BenchgateError for an amount that it cannot do."""


@runtime_checkable
class Reshapes(Protocol):
    """A transform that says with `reshapes = True` that it changes which tensors the module has, or their shapes.

    Its work is then repeated when the artifact is loaded, to have the module that the weights go into.
    """

    reshapes: bool


@runtime_checkable
class ReshapesByShape(Protocol):
    """A transform that reshapes and says with `by_shape = True` that the new shapes follow from the old ones alone.

    Its `apply` works on tensors without values (device meta), so that loading needs neither weights nor computation.
    """

    by_shape: bool


@runtime_checkable
class ReplacesLayers(Protocol):
    """A transform that says with `replaces_layers = True` that it puts other layers in the place of the module's own.

    Runtimes that read layers by their names cannot run what it makes.
    """

    replaces_layers: bool


@runtime_checkable
class TellsFigures(Protocol):
    """A transform that tells figures of what it made, by the name of their metric, for the record: `sparsity`."""

    def figures(self, module: Any) -> Mapping[str, float]: ...


# What data may have.


@runtime_checkable
class Describes(Protocol):
    """Data that says what it is: name, hash, number of items; kept with every result."""

    def describe(self) -> dict[str, Any]: ...
