"""Artifacts: built, compressed models in a cache addressed by content. Build once, whole or not at all, then reuse.

The key of an artifact is what its build is made from: the model's fields, files and source, the scheme, the runtime's
source and packages, benchgate, the platform. The files that a build opened are noted in its manifest and looked at
again before it is reused. The key says nothing of baselines: those go by the cell, and changed content is compared.
"""

from __future__ import annotations

import inspect
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import benchgate
from benchgate.core import DataError, Model, Runtime, Scheme, Unavailable, all_needs
from benchgate.core.transformed import figures_of, for_build, steps_of
from benchgate.machine.packages import versions
from benchgate.storage import building, session, shared
from benchgate.storage.building import Manifest, artifact_bytes, build_or_reuse
from benchgate.storage.describing import digest
from benchgate.storage.identity import identify
from benchgate.storage.weights import state_digest

__all__ = [
    "Artifact",
    "artifact",
    "artifact_bytes",
    "artifact_key",
    "build_or_reuse",
    "content",
    "content_of",
    "figures",
    "opened",
    "prepared",
]

# Grows when what a build writes changes without any of the other parts of the key.
LAYOUT = 2
# Before the names of the figures that a scheme's steps tell, in a manifest.
FIGURE = "figure:"
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Artifact:
    """A built model. `content` says what was built (`weights:...`, `files:...` or `source:...`), for the record.

    `seconds` is how long it took to build, None where it was in the cache. `digest` is of all that decided it.
    """

    path: Path
    content: str
    digest: str
    seconds: float | None


def artifact_key(model: Model, scheme: Scheme, runtime: Runtime, device: str = "cpu") -> dict[str, Any]:
    """Everything that is known to decide what the artifact holds; JSON-ready.

    Raises DataError for a file of the model that cannot be read.
    """
    of_model, of_runtime = identify(inspect.unwrap(model)), identify(runtime, whole_package=True)  # type: ignore[arg-type]
    opaque = of_model.opaque or of_runtime.opaque
    key = {
        "layout": LAYOUT,
        "benchgate": benchgate.__version__,
        "model": {"name": model.name, "version": model.version, **of_model.as_dict()},
        "scheme": scheme.as_dict(),
        "steps": [identify(step.transform).as_dict() for step in steps_of(scheme)],
        "runtime": {"name": runtime.name, "format": runtime.format, **of_runtime.as_dict()},
        "packages": versions(all_needs(runtime)),
        "device": device,
        "platform": [platform.system(), platform.machine(), platform.python_version()],
    }
    if opaque is not None:
        session.say_once(
            f"benchgate: model {model.name!r} on {runtime.name}: {opaque}, so that a change of it would not be seen; "
            "what is built is not reused in another session. Give the model plain fields and a module of its own"
        )
        key["session"] = session.token()
    return key


def artifact(model: Model, scheme: Scheme, runtime: Runtime, device: str = "cpu") -> Path:
    """The folder with the built model, built by `runtime.build` if it is not in the cache."""
    return prepared(model, scheme, runtime, device).path


def prepared(model: Model, scheme: Scheme, runtime: Runtime, device: str = "cpu", again: bool = False) -> Artifact:
    """The built model and what is known of it; built where it is not in the cache, or in any case with `again`."""
    key = artifact_key(model, scheme, runtime, device)
    seen = _Seen(for_build(model, scheme))

    def build(out: Path) -> Mapping[str, str]:
        runtime.build(seen, scheme, out)
        if scheme.steps and seen.figures is None:
            # The runtime made it from another artifact, which was there already.
            seen.build()
        about = {f"{FIGURE}{name}": repr(value) for name, value in (seen.figures or {}).items()}
        return about if seen.weights is None else {**about, "weights": seen.weights}

    made = building.make(label(model, scheme, runtime), key, build, again, shared.taken)
    if made.seconds is not None:
        shared.given(made.path)
    manifest = building.read_manifest(made.path)
    return Artifact(made.path, _content(manifest), digest([key, manifest.inputs]), made.seconds)


def opened(
    model: Model, scheme: Scheme, runtime: Runtime, device: str, load: Callable[[Path], Loaded]
) -> tuple[Artifact, Loaded]:
    """The artifact and what `load` makes of it. One from the cache that cannot be loaded is built again, once."""
    found = prepared(model, scheme, runtime, device)
    try:
        return found, load(found.path)
    except (MemoryError, Unavailable):
        raise
    except Exception as error:
        if found.seconds is not None or "memory" in str(error).lower():
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    print(f"benchgate: {found.path}: cannot be loaded ({reason}); building it again", file=sys.stderr)
    found = prepared(model, scheme, runtime, device, again=True)
    return found, load(found.path)


def content_of(model: Model, scheme: Scheme, runtime: Runtime, device: str) -> str:
    """The digest that `prepared` would give, without building: another one where something changed or nothing is there.

    Raises DataError for a file of the model that cannot be read.
    """
    key = artifact_key(model, scheme, runtime, device)
    path = building.place(label(model, scheme, runtime), key)
    if building.damage(path) is not None:
        return "not built"
    return digest([key, building.current_inputs(building.read_manifest(path))])


def folder_of(model: Model, scheme: Scheme, runtime: Runtime, device: str) -> Path:
    """The folder of the cache in which the artifact lies, or would. Raises DataError as `content_of`."""
    return building.place(label(model, scheme, runtime), artifact_key(model, scheme, runtime, device))


def label(model: Model, scheme: Scheme, runtime: Runtime) -> str:
    """The readable part of the artifact's folder name."""
    return f"{model.name}-{scheme.name}-{runtime.name}".replace("/", "--")


def content(folder: Path) -> str:
    """The content of an artifact, for the record: its weights where they were seen, else files, else the source.

    Parts of it that only decide how it is built are not in it. "unknown" for a folder that was not built here.
    """
    try:
        return _content(building.read_manifest(folder))
    except (DataError, KeyError, TypeError):
        return "unknown"


def figures(folder: Path) -> dict[str, float]:
    """The figures that a scheme's steps told of the module of this artifact, by metric. Raises DataError as
    `read_manifest`."""
    about = building.read_manifest(folder).about
    return {name.removeprefix(FIGURE): float(value) for name, value in about.items() if name.startswith(FIGURE)}


def _content(manifest: Manifest) -> str:
    if weights := manifest.about.get("weights"):
        return f"weights:{weights[:16]}"
    model = manifest.key["model"]
    files = [*model["files"].values(), *manifest.inputs.values()]
    if files:
        return f"files:{digest(sorted(files))[:16]}"
    return f"source:{digest([model[part] for part in ('values', 'sources', 'packages')])[:16]}"


class _Seen:
    """The model as a runtime's `build` gets it: itself, but that the weights it builds are hashed on the way, and the
    figures of its steps noted."""

    def __init__(self, model: Model) -> None:
        self.__wrapped__ = model
        self.weights: str | None = None
        self.figures: Mapping[str, float] | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # isinstance() sees the model's class: runtimes ask which kind of model it is.
        return self.__wrapped__.__class__

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__wrapped__, name)
        return self._build if name == "build" else found

    def __reduce__(self) -> Any:
        return _itself, (self.__wrapped__,)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == inspect.unwrap(other))  # type: ignore[arg-type]

    def _build(self, *arguments: Any, **options: Any) -> Any:
        module = self.__wrapped__.build(*arguments, **options)
        if hasattr(module, "state_dict"):
            self.weights = state_digest(module)
            self.figures = figures_of(inspect.unwrap(self.__wrapped__), module)  # type: ignore[arg-type]
        return module


def _itself(model: Any) -> Any:
    return model
