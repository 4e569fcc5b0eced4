"""Artifacts that machines share: parcels in a folder that all of them reach, by any URL that fsspec knows.

`BENCHGATE_SHARED=s3://bucket/artifacts` (or gs://, ssh://, a mounted folder, ...). Who may write there decides what
runs on all machines that read it. Nothing of it is imported before it is needed: it would be weighed with the model.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path
from typing import Protocol

from benchgate.core import BenchgateError, DataError
from benchgate.machine.packages import missing_packages
from benchgate.storage import session
from benchgate.storage.building import read_manifest

WHERE = "BENCHGATE_SHARED"
ENDING = ".parcel"


class Store(Protocol):
    """A place of parcels by name."""

    def get(self, name: str, file: Path) -> bool:
        """Write the parcel of this name to `file`; False where there is none."""

    def put(self, name: str, file: Path) -> None:
        """Have the parcel in `file` from now on, whole or not at all."""


class Folder:
    """A store at a URL. Raises BenchgateError where fsspec, or its part for this kind of URL, is not installed."""

    def __init__(self, url: str) -> None:
        if reason := missing_packages({"fsspec": "ray"}):
            raise BenchgateError(f"{WHERE}={url}: {reason}")
        from fsspec.core import url_to_fs

        try:
            self._files, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BenchgateError(f"{WHERE}={url}: {error}") from error

    def get(self, name: str, file: Path) -> bool:
        """Write the parcel of this name to `file`; False where there is none."""
        place = self._place(name)
        if not self._files.exists(place):
            return False
        self._files.get_file(place, str(file))
        return True

    def put(self, name: str, file: Path) -> None:
        """Have the parcel in `file` from now on, whole or not at all."""
        part = f"{self._place(name)}.{uuid.uuid4().hex[:12]}.part"
        self._files.makedirs(self._root, exist_ok=True)
        self._files.put_file(str(file), part)
        self._files.mv(part, self._place(name))

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}{ENDING}"


def taken(target: Path) -> bool:
    """`fetch` out of the store that the environment names; False where it names none. Raises as `Folder`."""
    url = os.environ.get(WHERE)
    return bool(url) and fetch(Folder(str(url)), target)


def given(target: Path) -> None:
    """`publish` into the store that the environment names, where it names one. Raises as `Folder`."""
    if url := os.environ.get(WHERE):
        publish(Folder(url), target)


def fetch(shelf: Store, target: Path) -> bool:
    """Put the artifact of the folder's name there, out of the store; False where it has none that fits.

    A store that cannot be read, or has something else under this name, is a line on standard error: one builds.
    """
    from benchgate.storage import parcels

    with tempfile.TemporaryDirectory(prefix="benchgate-") as folder:
        file = Path(folder) / "parcel"
        try:
            if not shelf.get(target.name, file):
                return False
            with file.open("rb") as stream:
                parcels.unpack(stream, target)
        except (OSError, DataError) as error:
            session.say_once(f"benchgate: {target.name} is not taken from {_name(shelf)}: {error}")
            return False
    return True


def publish(shelf: Store, target: Path) -> None:
    """Put the finished artifact into the store; one that cannot be written is a line on standard error.

    Artifacts that are of one session only stay here.
    """
    if "session" in read_manifest(target).key:
        return
    from benchgate.storage import parcels

    with tempfile.TemporaryDirectory(prefix="benchgate-") as folder:
        file = Path(folder) / "parcel"
        try:
            with file.open("wb") as out:
                parcels.pack(target, out)
            shelf.put(target.name, file)
        except (OSError, DataError) as error:
            session.say_once(f"benchgate: {target.name} is not put into {_name(shelf)}: {error}")


def _name(shelf: Store) -> str:
    return os.environ.get(WHERE) or type(shelf).__name__.lower()
