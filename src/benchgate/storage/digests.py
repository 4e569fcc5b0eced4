"""SHA-256 of files and folders, remembered by what the file system says of them, so that gigabytes are read once.

A remembered digest holds while path, size, inode and both times (of contents and of inode) stay: restoring the
modification time of an edited file does not hide the edit where the file system keeps change times. Files below ALWAYS
bytes are read each time.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from benchgate.core import DataError
from benchgate.storage import cache
from benchgate.storage.download import file_sha256

ALWAYS = 1 << 20
# A file that changed this recently (ns) may change again without another time stamp.
SETTLED = 2_000_000_000
MAX_FILES = 50_000
TABLE = "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, state TEXT, sha256 TEXT)"


def file_digest(path: Path) -> str:
    """SHA-256 of one file's contents. Raises DataError for one that cannot be read."""
    try:
        path = path.resolve()
        status = path.stat()
        if status.st_size < ALWAYS:
            return file_sha256(path)
        state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino} {status.st_dev}"
        known = _recall(path, state)
        if known is None:
            known = file_sha256(path)
            if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED:
                _remember(path, state, known)
        return known
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); its contents decide what is measured") from error


def tree_digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents. Raises DataError for more than MAX_FILES files."""
    if not path.is_dir():
        return file_digest(path)
    whole = hashlib.sha256()
    for name, file in _files(path):
        whole.update(f"{name}\0{file_digest(file)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _files(folder: Path) -> list[tuple[str, Path]]:
    found = [(file.relative_to(folder).as_posix(), file) for file in _walk(folder)]
    if len(found) > MAX_FILES:
        raise DataError(
            f"{folder}: {len(found):,} files; at most {MAX_FILES:,} are hashed: name the folder that counts"
        )
    return sorted(found)


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        # Version control, caches and byte code are not what a model is made of.
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        yield from (path for name in names if (path := Path(place, name)).is_file())


def _database() -> sqlite3.Connection:
    place = cache.root()
    place.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(place / "digests.sqlite", timeout=5, isolation_level=None)
    connection.execute(TABLE)
    return connection


def _recall(path: Path, state: str) -> str | None:
    # What cannot be remembered is read again: slower, never wrong.
    with suppress(sqlite3.Error, OSError), closing(_database()) as connection:
        row = connection.execute("SELECT sha256 FROM digests WHERE path = ? AND state = ?", (str(path), state))
        found = row.fetchone()
        return str(found[0]) if found else None
    return None


def _remember(path: Path, state: str, sha256: str) -> None:
    with suppress(sqlite3.Error, OSError), closing(_database()) as connection:
        connection.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (str(path), state, sha256))
