"""Build a folder into the cache, whole or not at all, with a manifest of what it was made from."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, DataError
from benchgate.storage import cache, session
from benchgate.storage.describing import digest
from benchgate.storage.digests import file_digest
from benchgate.storage.opened import note, recorded

MANIFEST = "benchgate.json"


@dataclass(frozen=True)
class Manifest:
    """Notes beside an artifact's files: `files` their lengths, `inputs` the digests of the files that its build
    opened, `about` what the build itself tells (the digest of the weights), `built` the time (s since 1970)."""

    key: Mapping[str, Any]
    files: Mapping[str, int]
    inputs: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    built: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Made:
    """A folder of the cache; `seconds` is how long its build took, None where it was there."""

    path: Path
    seconds: float | None


def build_or_reuse(label: str, key: Mapping[str, Any], build: Callable[[Path], Any]) -> Path:
    """The folder that `build(empty_folder)` filled for `key`, from the cache where it is whole and up to date.

    One process builds, others wait. A build that is interrupted leaves nothing; a folder whose files are not as long
    as they were written, or one built from files that changed since, is built again. Raises CacheError for the disk,
    BenchgateError for a build that wrote nothing.
    """
    return make(label, key, _silent(build)).path


def _silent(build: Callable[[Path], Any]) -> Callable[[Path], None]:
    def built(out: Path) -> None:
        build(out)

    return built


def place(label: str, key: Mapping[str, Any]) -> Path:
    """The folder of the cache in which the artifact of this key lies, or would."""
    return cache.artifacts() / f"{label}-{digest(key)[:12]}"


def is_place_of(folder: Path, key: Mapping[str, Any]) -> bool:
    """True where the folder's name is that of the artifact of this key."""
    return folder.name.rpartition("-")[2] == digest(key)[:12]


def make(
    label: str,
    key: Mapping[str, Any],
    build: Callable[[Path], Mapping[str, str] | None],
    again: bool = False,
    fetch: Callable[[Path], bool] = lambda target: False,
) -> Made:
    """`build_or_reuse` that tells more; `build` may return what to keep in the manifest. `again`: in any case anew.

    `fetch(folder)` may bring what is not in the cache from elsewhere; True where it did.
    """
    target = place(label, key)
    try:
        with cache.locked(target):
            if target.exists():
                reason = damage(target)
                if reason is None and not again:
                    return _reused(target)
                if reason is not None:
                    print(f"benchgate: {target}: {reason}; building it again", file=sys.stderr)
                shutil.rmtree(target)
            if not again and fetch(target):
                return _reused(target)
            return Made(target, _build(target, key, build))
    except cache.CacheError:
        # A cache that is complete may be read-only.
        if again or damage(target) is not None:
            raise
        return _reused(target)


def _reused(target: Path) -> Made:
    for path in read_manifest(target).inputs:
        note(Path(path))
    return Made(target, None)


def _build(target: Path, key: Mapping[str, Any], build: Callable[[Path], Mapping[str, str] | None]) -> float:
    temporary = target.with_name(target.name + ".building")
    with cache.explained(target):
        _drop_ended_sessions(target, key)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            start = time.monotonic()
            with recorded(without=temporary) as seen:
                about = build(temporary)
            seconds = time.monotonic() - start
            sizes = file_sizes(temporary)
            if not sizes:
                raise BenchgateError(f"{target.name}: its build wrote no file; this is a defect of the runtime")
            inputs = {str(path): file_digest(path) for path in seen.files() if path.name != MANIFEST}
            manifest = Manifest(key, sizes, inputs, about or {}, time.time(), seconds)
            (temporary / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
            os.replace(temporary, target)
        finally:
            # Also after Ctrl-C: half an artifact is worse than none.
            shutil.rmtree(temporary, ignore_errors=True)
    return seconds


def _drop_ended_sessions(target: Path, key: Mapping[str, Any]) -> None:
    """Remove what no session can use any more of the artifacts that are not reused across sessions."""
    if "session" not in key:
        return
    for other in target.parent.glob(f"{target.name[:-13]}-*"):
        if damage(other) is None and session.is_over(str(read_manifest(other).key.get("session", ""))):
            shutil.rmtree(other)


def file_sizes(folder: Path) -> dict[str, int]:
    """Lengths in bytes of the files of an artifact by relative path, without our manifest."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished artifact. Raises DataError where there is none that can be read."""
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(
            raw["key"], dict(raw["files"]), dict(raw["inputs"]), dict(raw["about"]), raw["built"], raw["seconds"]
        )
        if not isinstance(manifest.key, dict):
            raise TypeError("its key is no object")
        return manifest
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{folder}: no readable manifest ({error})") from error


def damage(folder: Path) -> str | None:
    """Why a finished artifact cannot be reused, or None. Its own files by length: hashing gigabytes costs too much."""
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        return str(error).removeprefix(f"{folder}: ")
    found = file_sizes(folder)
    wrong = sorted(n for n in manifest.files.keys() | found.keys() if manifest.files.get(n) != found.get(n))
    if wrong:
        return f"{', '.join(wrong)} changed since it was built"
    now = current_inputs(manifest)
    changed = sorted(path for path, known in manifest.inputs.items() if now[path] != known)
    return f"{', '.join(changed)}, which it was built from, changed since" if changed else None


def current_inputs(manifest: Manifest) -> dict[str, str]:
    """The digests that the files an artifact was built from have now; "gone" for those that cannot be read."""
    found = {}
    for path in manifest.inputs:
        try:
            found[path] = file_digest(Path(path))
        except DataError:
            found[path] = "gone"
    return found


def artifact_bytes(folder: Path) -> int:
    """Size on disk of what the runtime wrote: all files but our manifest."""
    return sum(file_sizes(folder).values())
