"""The artifacts of the cache: with age and size, why two of one name differ, and taking them away again.

Links are never followed: one that lies in the cache is removed itself, what it points to stays.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError, unknown_name
from benchgate.storage import cache
from benchgate.storage.artifacts import content
from benchgate.storage.building import MANIFEST, Manifest, damage, read_manifest

# Endings of what is being written, and of locks; a folder in which an asset is being made is called "fetching".
UNFINISHED = (".part", ".building", ".writing", ".lock")
# All that benchgate itself puts into the cache; anything else in the folder is somebody else's.
PARTS = (
    "against",
    "artifacts",
    "assets",
    "calibration",
    "downloads",
    "partial",
    "trained",
    "worktrees",
    "digests.sqlite",
)


@dataclass(frozen=True)
class Kept:
    """One artifact in the cache. `manifest` is None, with the `problem` said, where it cannot be read or reused."""

    path: Path
    size_bytes: int
    manifest: Manifest | None
    problem: str | None

    @property
    def label(self) -> str:
        """Its name without the digest of its key: `model-scheme-runtime` for a cell's."""
        return self.path.name.rpartition("-")[0] or self.path.name

    @property
    def content(self) -> str:
        return content(self.path)

    @property
    def built(self) -> float | None:
        """When it was built, in seconds since 1970."""
        return self.manifest.built if self.manifest is not None else None


def kept() -> list[Kept]:
    """The artifacts of the cache: by label, the newest first."""
    found = [_kept(path) for path in _entries(cache.artifacts()) if _is_folder(path)]
    return sorted(found, key=lambda one: (one.label, -(one.built or 0.0)))


def chosen(names: Sequence[str]) -> list[Kept]:
    """The artifacts of these names: a folder's, a label (all of it), or a pattern with `*`. Raises BenchgateError."""
    everything = kept()
    found: dict[Path, Kept] = {}
    for name in names:
        fitting = [one for one in everything if _fits(one, name)]
        if not fitting:
            known = sorted({one.label for one in everything})
            raise BenchgateError(f"{unknown_name('artifact', name, known)}; see `benchgate cache list`")
        found.update({one.path: one for one in fitting})
    return list(found.values())


def _fits(one: Kept, name: str) -> bool:
    return any(fnmatch.fnmatchcase(known, name) or known == name for known in (one.label, one.path.name))


def remove(paths: Iterable[Path]) -> tuple[int, list[str]]:
    """Remove artifacts; returns the bytes that are free now, and what stays and why (another process is at it)."""
    import filelock

    freed, stays = 0, []
    for path in paths:
        try:
            with cache.explained(path), cache.locked(path, timeout_s=0):
                freed += bytes_of(path)
                _delete(path)
        except filelock.Timeout:
            stays.append(f"{path.name}: another process builds or loads it; try again when it has ended")
    return freed, stays


def remove_all() -> int:
    """Remove all that benchgate put into the cache, trained models too; returns the bytes that are free now."""
    freed = 0
    for part in PARTS:
        path = cache.root() / part
        if path.is_symlink() or not path.exists():
            # A part that was moved elsewhere by a link is out of the cache.
            continue
        with cache.explained(path):
            freed += bytes_of(path)
            _delete(path)
    return freed


def remove_leftovers(older_than_s: float) -> int:
    """Remove what an ended process left half done, if it was not written to for so long; returns the bytes freed."""
    freed = 0
    for part in PARTS:
        for path in _leftovers(cache.root() / part):
            if time.time() - path.lstat().st_mtime >= older_than_s:
                with cache.explained(path):
                    freed += bytes_of(path)
                    _delete(path)
    return freed


def _leftovers(path: Path) -> Iterator[Path]:
    if path.name == "fetching" or path.suffix in UNFINISHED:
        yield path
        return
    for entry in _entries(path):
        yield from _leftovers(entry)


def bytes_of(path: Path) -> int:
    """Bytes of a file or of all files below a folder; a link counts itself."""
    if not _is_folder(path):
        return path.lstat().st_size
    return sum(bytes_of(entry) for entry in _entries(path))


def _delete(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _entries(folder: Path) -> list[Path]:
    if not _is_folder(folder):
        return []
    with cache.explained(folder), os.scandir(folder) as found:
        return sorted(Path(entry.path) for entry in found)


def _kept(path: Path) -> Kept:
    try:
        manifest = read_manifest(path)
    except DataError as error:
        return Kept(path, bytes_of(path), None, str(error).removeprefix(f"{path}: "))
    manifest_bytes = (path / MANIFEST).lstat().st_size
    return Kept(path, bytes_of(path) - manifest_bytes, manifest, damage(path))


def consists_of(one: Kept) -> list[tuple[str, str]]:
    """(part, value) of all that decided an artifact: its key, the files its build opened, what the build told."""
    if one.manifest is None:
        return [("manifest", str(one.problem))]
    opened = {f"opened {path}": known for path, known in one.manifest.inputs.items()}
    return [*_flat(one.manifest.key), *opened.items(), *one.manifest.about.items()]


def difference(older: Kept, newer: Kept) -> list[tuple[str, str, str]]:
    """(part, older value, newer value) of what differs; "-" where one has no such part."""
    then, now = dict(consists_of(older)), dict(consists_of(newer))
    return [(p, then.get(p, "-"), now.get(p, "-")) for p in {**then, **now} if then.get(p) != now.get(p)]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name} {key}".strip())
    else:
        yield name, " ".join(map(str, value)) if isinstance(value, list) else str(value)
