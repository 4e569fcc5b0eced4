"""A runtime from functions: one that loads, one that calls, and one that saves where the model is no file already.

It runs tasks of one call in full precision; steps work on torch modules and are refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from benchgate.core import DataError, Model, Runtime, Scheme, Session, runtimes, support
from benchgate.core.protocols import Buildable, FromFile

# The name of the rows that all of them share.
ROWS = "simple"
FILE = "model"


class PlainSession:
    """A session from what was loaded and the function that calls it.

    Args:
        loaded: Given to `call` each time, and let go of by `close`.
        call: `(loaded, inputs) -> outputs`, outputs as arrays in lists, tuples or mappings.
        kernel: What really runs, for the record.
        weights_bytes: The memory that the weights take, None where nobody knows.

    Example::

        def load(self, path, model, device, threads):
            return benchgate.PlainSession(read(path / "weights"), lambda weights, inputs: inputs @ weights)
    """

    def __init__(
        self,
        loaded: Any,
        call: Callable[[Any, Any], Any],
        kernel: Mapping[str, Any] | None = None,
        weights_bytes: int | None = None,
    ) -> None:
        self.loaded, self.call = loaded, call
        self.kernel: Mapping[str, Any] = kernel or {"call": call.__qualname__}
        self.weights_bytes, self.identity = weights_bytes, ""

    def __call__(self, inputs: Any) -> Any:
        return self.call(self.loaded, inputs)

    def close(self) -> None:
        self.loaded = None


@dataclass(frozen=True)
class SimpleRuntime:
    """A runtime from functions, for CPUs, with fp32 and nothing else; register it with `benchgate.runtime(...)`.

    Args:
        name: As in `@pytest.mark.cells(runtime=...)`.
        loads: `(path) -> loaded`, from the one file of the artifact.
        calls: `(loaded, inputs) -> outputs`, outputs as arrays in lists, tuples or mappings.
        saves: `(built, path)`, writes what the model's `build()` returned as one file. Without it models are files.
        files: Suffixes of models that are files already, which are copied as they are: `(".bin",)`.
        needs: Import name -> extra of benchgate that installs it, for the skip's reason.
        format: The name of the artifact's file format.

    Raises:
        DataError: With neither `saves` nor `files`: it would take no model.

    Example::

        benchgate.runtime(benchgate.SimpleRuntime("engine", loads=engine.load, calls=engine.run, files=(".bin",)))
    """

    name: str
    loads: Callable[[Path], Any] = field(repr=False)
    calls: Callable[[Any, Any], Any] = field(repr=False)
    saves: Callable[[Any, Path], None] | None = field(default=None, repr=False)
    files: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    format: str = "file"
    sessions_of: ClassVar[str] = ROWS
    compressors_of: ClassVar[str] = ROWS

    def __post_init__(self) -> None:
        if self.saves is None and not self.files:
            raise DataError(f"runtime {self.name}: it takes no model; give saves=(built, path), or files=('.suffix',)")

    def missing(self, device: str) -> str | None:
        return None if device == "cpu" else f"{self.name} runs on cpu, not {device}"

    def build(self, model: Model, scheme: Scheme, out: Path) -> None:
        """Write the model's own file, else what it builds. Raises DataError for a file that is not there."""
        target, source = out / FILE, self.file_of(model)
        if source is None:
            assert self.saves is not None, "refused at collection"
            self.saves(model.build(), target)
        elif source.is_file():
            shutil.copyfile(source, target)
        else:
            raise DataError(f"{model.name}: {source} is no file; correct its path")

    def load(self, path: Path, model: Model, device: str, threads: int) -> Session:
        return PlainSession(self.loads(path / FILE), self.calls)

    def file_of(self, model: Model) -> Path | None:
        """The model's own file where this runtime takes it as it is, or None."""
        path = Path(model.path) if isinstance(model, FromFile) else None
        return path if path is not None and path.suffix in self.files else None


def refuses(model: Model, scheme: Scheme, runtime: str) -> str | None:
    """Why the runtime of this name, which may be of another class that shares these rows, takes no such model."""
    known: Runtime = runtimes[runtime]
    if not isinstance(known, SimpleRuntime) or known.file_of(model) is not None:
        return None
    if known.saves is not None and isinstance(model, Buildable):
        return None
    takes = [*(["models with build()"] if known.saves else []), *known.files]
    shown = Path(model.path).name if isinstance(model, FromFile) else "no file of these"
    return f"{model.name} is {shown}, {runtime} takes {' and '.join(takes)}"


support.session(
    ROWS, support.ONE_CALL, f"{__name__}:PlainSession", builder="", product="models", refuses=f"{__name__}:refuses"
)
support.compressor(ROWS, "float", dtypes=("float32",))
