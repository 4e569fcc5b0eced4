"""What a model, task, runtime and session must have. Small protocols that a class fulfils by having the members."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

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

    A task may have `operations`, a mapping from name to `f(session, model, inputs, **params) -> Work`; the first is the
    default one. Without it the only operation is one call of the session on its inputs. Inputs are the test's
    (`cell.measure(..., inputs=...)`), else those of the task's `inputs(model, params)`, else
    `sample(model, batch)`. It may have `fidelity(reference, session, model, data) -> metrics`: how far a compressed
    model's outputs are from another's.
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
