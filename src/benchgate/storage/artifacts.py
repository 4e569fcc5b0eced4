"""Artifacts: built, compressed models in a content-addressed cache. Build once, whole or not at all, then reuse."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError, Model, Runtime, Scheme, all_needs
from benchgate.core.transformed import for_build
from benchgate.machine.packages import versions
from benchgate.storage import cache

MANIFEST = "benchgate.json"
# Grows when what a build writes changes without any of the other parts of the key.
LAYOUT = 1


def artifact_key(model: Model, scheme: Scheme, runtime: Runtime) -> dict[str, Any]:
    """Everything that decides what the artifact holds; JSON-ready."""
    return {
        "layout": LAYOUT,
        "model": model.name,
        "version": model.version,
        "scheme": scheme.as_dict(),
        "runtime": runtime.name,
        "format": runtime.format,
        "packages": versions(all_needs(runtime)),
    }


def artifact(model: Model, scheme: Scheme, runtime: Runtime) -> Path:
    """The folder with the built model, built by `runtime.build` if it is not in the cache."""
    label = f"{model.name}-{scheme.name}-{runtime.name}".replace("/", "--")
    source = for_build(model, scheme)
    return build_or_reuse(label, artifact_key(model, scheme, runtime), lambda out: runtime.build(source, scheme, out))


def build_or_reuse(label: str, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder that `build(empty_folder)` filled for `key`, from the cache where it is whole.

    One process builds, others wait. A build that is interrupted leaves nothing; a folder whose files are not as long
    as they were written is built again. Raises CacheError for the disk, BenchgateError for a build that wrote nothing.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    target = cache.root() / "artifacts" / f"{label}-{digest[:12]}"
    with cache.locked(target):
        if target.exists():
            damage = _damage(target)
            if damage is None:
                return target
            print(f"benchgate: {target}: {damage}; building it again", file=sys.stderr)
            shutil.rmtree(target)
        _build(target, key, build)
    return target


def _build(target: Path, key: Mapping[str, Any], build: Callable[[Path], None]) -> None:
    temporary = target.with_name(target.name + ".building")
    with cache.explained(target):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            build(temporary)
            sizes = _sizes(temporary)
            if not sizes:
                raise BenchgateError(f"{target.name}: its build wrote no file; this is a defect of the runtime")
            (temporary / MANIFEST).write_text(json.dumps({"key": key, "files": sizes}, indent=1), encoding="utf-8")
            os.replace(temporary, target)
        finally:
            # Also after Ctrl-C: half an artifact is worse than none.
            shutil.rmtree(temporary, ignore_errors=True)


def _sizes(folder: Path) -> dict[str, int]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}


def _damage(folder: Path) -> str | None:
    """What is wrong with a finished artifact, or None. Lengths only: a hash of gigabytes at each use costs too much."""
    try:
        expected = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"no readable manifest ({error})"
    found = _sizes(folder)
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return f"{', '.join(wrong)} changed since it was built" if wrong else None


def artifact_bytes(folder: Path) -> int:
    """Size on disk of what the runtime wrote: all files but our manifest."""
    return sum(_sizes(folder).values())
