"""The folder of what benchgate fetched and built, and how two processes share it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchgate.core import BenchgateError


class CacheError(BenchgateError):
    """The cache folder cannot be used; the message names it and says how to move it."""


def root() -> Path:
    """`$BENCHGATE_CACHE`, or the platform's user cache folder (XDG on Linux); not necessarily there yet."""
    chosen = os.environ.get("BENCHGATE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("benchgate", appauthor=False))


def artifacts() -> Path:
    """The folder of what was built: `$BENCHGATE_ARTIFACTS`, or one in the cache. Compared versions have one each."""
    chosen = os.environ.get("BENCHGATE_ARTIFACTS")
    return Path(chosen).expanduser() if chosen else root() / "artifacts"


@contextlib.contextmanager
def locked(target: Path, timeout_s: float = -1) -> Iterator[None]:
    """Hold the lock beside `target`: one process makes it, the others wait and then find it made.

    After `timeout_s` (from 0 on) they raise filelock.Timeout. Raises CacheError where nothing can be written: look
    first whether `target` is there already.
    """
    import filelock

    lock = filelock.FileLock(f"{target}.lock")
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout_s)
    try:
        yield
    finally:
        # While it is held: whoever waits for it finds the file gone and begins anew. Windows cannot, and leaves it.
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into a message that names it and says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise CacheError(
                f"disk full while writing {path}; free some space or set BENCHGATE_CACHE to a folder on another disk"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise CacheError(
                f"cannot write {path} ({error.strerror}); set BENCHGATE_CACHE to a folder that you may write to"
            ) from error
        raise


def need_space(folder: Path, size: int) -> None:
    """Raise CacheError before `size` bytes are fetched into a disk that cannot hold them."""
    probe = folder
    while not probe.exists():
        probe = probe.parent
    free = shutil.disk_usage(probe).free
    if free < size:
        raise CacheError(
            f"disk full: {folder} needs {size:,} bytes and has {free:,} free; "
            "set BENCHGATE_CACHE to a folder on another disk"
        )


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
