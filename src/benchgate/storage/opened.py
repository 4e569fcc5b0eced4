"""The files that a build reads, seen as they are opened: what decides a model and stands in none of its fields.

Python's own `open` and what is built on it (numpy, torch.load, onnx.load) raise an audit event. safetensors opens files
in Rust without one, so its `safe_open` is watched as well. Files that other native code or another process opens are
not seen.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchgate.storage.sources import is_installed

# Places of the system; locks and byte code.
ELSEWHERE = ("/proc", "/sys", "/dev", "/etc")
IGNORED = (".lock", ".pyc", ".so", ".sqlite", ".tmp")


class Opened:
    """The files read while it records. `files()` are those that were there before and are there still."""

    def __init__(self, without: Path) -> None:
        self._without = without.absolute()
        self._start = time.time_ns()
        self._paths: set[str] = set()

    def add(self, path: str) -> None:
        self._paths.add(path)

    def files(self) -> list[Path]:
        """Return the recorded files of the project or the user, sorted: none installed, none that the build made."""
        return sorted({path for text in self._paths if self._counts(path := Path(text).absolute())})

    def _counts(self, path: Path) -> bool:
        if path.suffix in IGNORED or str(path).startswith(ELSEWHERE) or self._without in path.parents:
            return False
        try:
            return path.is_file() and path.stat().st_mtime_ns < self._start and not is_installed(path)
        except OSError:
            return False


class _Hook:
    """The process's one audit hook, which can never be taken away; idle while nothing records."""

    def __init__(self) -> None:
        self.recording: list[Opened] = []
        self._installed = False

    def install(self) -> None:
        if not self._installed:
            sys.addaudithook(self)
            self._installed = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.recording and event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and not flags & (os.O_WRONLY | os.O_RDWR):
                self.saw(os.fsdecode(path))

    def saw(self, path: str) -> None:
        for record in tuple(self.recording):
            record.add(path)


_hook = _Hook()


@contextlib.contextmanager
def recorded(without: Path) -> Iterator[Opened]:
    """Record the files that this process opens for reading; those below the folder `without` do not count."""
    _hook.install()
    found = Opened(without)
    _hook.recording.append(found)
    try:
        with _watched_safetensors():
            yield found
    finally:
        _hook.recording.remove(found)


def note(path: Path) -> None:
    """Count a file as opened: what a part that was reused had been built from."""
    _hook.saw(str(path))


@contextlib.contextmanager
def _watched_safetensors() -> Iterator[None]:
    import importlib.util

    if importlib.util.find_spec("safetensors") is None or len(_hook.recording) > 1:
        yield
        return
    import safetensors

    original = safetensors.safe_open

    def safe_open(filename: Any, *arguments: Any, **options: Any) -> Any:
        note(Path(filename))
        return original(filename, *arguments, **options)

    _replace(original, safe_open)
    try:
        yield
    finally:
        # Also in modules that were imported meanwhile.
        _replace(safe_open, original)


def _replace(old: Any, new: Any) -> None:
    """Put `new` in the place of `old` in every module that holds it by this name."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get("safe_open") is old:
            module.__dict__["safe_open"] = new
