"""The parts of an object as hashes: its fields, the files they name, the values its code closes over, its source.

Two objects with the same `Identity` build the same model, unless something that is not visible in them decides: files
that a build opens are recorded (`opened`); environment variables and a random generator's state are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from benchgate.storage.describing import Walk, digest, fields_of
from benchgate.storage.sources import package_modules, packages_imported, sources


@runtime_checkable
class HasContent(Protocol):
    """A model that knows its files: `content()` maps a name to the SHA-256 of a file or folder."""

    def content(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Identity:
    """The hashes of one object's parts. `opaque` says what could not be identified, None where all could be."""

    values: Mapping[str, str]
    files: Mapping[str, str]
    sources: Mapping[str, str]
    packages: Mapping[str, str]
    opaque: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {part: dict(getattr(self, part)) for part in ("values", "files", "sources", "packages")}


def identify(thing: Any, whole_package: bool = False) -> Identity:
    """Return the object's Identity; with `whole_package` of all modules beside its class's own too.

    Raises DataError for a file that it names and that cannot be read.
    """
    walk = Walk()
    cls = thing.__class__
    walk.use(cls)
    if isinstance(thing, HasContent):
        walk.files.update(thing.content())
    values = {name: digest(walk.describe(value, f"field {name!r}")) for name, value in sorted(fields_of(thing).items())}
    modules = set(walk.modules)
    if whole_package:
        modules.update(package_modules(cls.__module__))
    code = sources(modules)
    values.update({name: digest(value) for name, value in walk.used.items()})
    return Identity(values, dict(sorted(walk.files.items())), code, packages_imported(code), walk.opaque)
