"""An artifact as one stream of bytes, to be put into another machine's cache: a tar whose first member is a label.

The label has the SHA-256 of each file. What is unpacked is whole and as it was packed, or not there at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from benchgate.core import DataError
from benchgate.storage import cache
from benchgate.storage.building import MANIFEST, damage, file_sizes, is_place_of, read_manifest
from benchgate.storage.digests import file_digest
from benchgate.storage.project import find_root, working_folder

LABEL = "parcel.json"
LABEL_BYTES = 1 << 24
BLOCK = 1 << 20


def pack(folder: Path, out: IO[bytes]) -> None:
    """Write the finished artifact in `folder`. Raises DataError for one that is damaged."""
    if reason := damage(folder):
        raise DataError(f"{folder}: {reason}")
    names = [*file_sizes(folder), MANIFEST]
    label = {"files": {name: file_digest(folder / name) for name in names}, "roots": _roots()}
    with tarfile.open(fileobj=out, mode="w|") as tar:
        text = json.dumps(label).encode()
        about = tarfile.TarInfo(LABEL)
        about.size = len(text)
        tar.addfile(about, io.BytesIO(text))
        for name in names:
            with (folder / name).open("rb") as stream:
                member = tarfile.TarInfo(name)
                member.size = os.fstat(stream.fileno()).st_size
                tar.addfile(member, stream)


def unpack(source: IO[bytes], target: Path) -> None:
    """Put the artifact into the folder `target`, which is not there yet.

    Raises DataError for a stream that is cut, changed or names other places, for the artifact of another key than the
    folder's name has, and for one that was made of files that are not here or have changed.
    """
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    with cache.explained(target):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _extract(source, temporary)
            if not is_place_of(target, read_manifest(temporary).key):
                raise DataError("it is the artifact of another key")
            if reason := damage(temporary):
                raise DataError(reason)
            os.replace(temporary, target)
        except (tarfile.TarError, EOFError) as error:
            raise DataError(f"no whole parcel: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _extract(source: IO[bytes], folder: Path) -> None:
    with tarfile.open(fileobj=source, mode="r|") as tar:
        label = _label(tar)
        wanted: dict[str, Any] = dict(label["files"])
        while (member := tar.next()) is not None:
            digest = wanted.pop(member.name, None)
            if digest is None or not member.isreg():
                raise DataError(f"{member.name!r} is not on its label, there twice, or no file")
            _write(tar.extractfile(member), _place(folder, member.name), digest)
        if wanted:
            raise DataError(f"{', '.join(sorted(wanted))}: on its label and not in it")
    _move_inputs(folder, label["roots"])


def _label(tar: tarfile.TarFile) -> dict[str, Any]:
    first = tar.next()
    stream = None if first is None or first.name != LABEL or first.size > LABEL_BYTES else tar.extractfile(first)
    try:
        label = json.loads(stream.read()) if stream is not None else None
    except (ValueError, RecursionError):
        label = None
    if not isinstance(label, dict) or not all(isinstance(label.get(name), dict) for name in ("files", "roots")):
        raise DataError(f"it does not begin with a label, {LABEL}")
    return label


def _place(folder: Path, name: str) -> Path:
    """The file of this name. Raises DataError for a name that leads out of the folder."""
    place = Path(os.path.normpath(folder / name))
    if folder not in place.parents or Path(name).is_absolute():
        raise DataError(f"{name!r} leads out of the artifact")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write(source: IO[bytes] | None, place: Path, digest: Any) -> None:
    assert source is not None
    seen = hashlib.sha256()
    with place.open("xb") as out:
        while block := source.read(BLOCK):
            seen.update(block)
            out.write(block)
    if seen.hexdigest() != digest:
        raise DataError(f"{place.name}: is not what was packed")


def _move_inputs(folder: Path, theirs: Mapping[str, Any]) -> None:
    """Have the manifest name this machine's files: those of the other's cache and project are in ours."""
    manifest, ours = read_manifest(folder), _roots()
    moved = {}
    for path, known in manifest.inputs.items():
        root = next((name for name in ours if Path(str(theirs.get(name))) in Path(path).parents), None)
        here = path if root is None else str(Path(ours[root]) / Path(path).relative_to(str(theirs[root])))
        moved[here] = known
    text = json.dumps(asdict(replace(manifest, inputs=moved)), indent=1)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _roots() -> dict[str, str]:
    return {"cache": str(cache.root().absolute()), "project": str(find_root(working_folder()).absolute())}
