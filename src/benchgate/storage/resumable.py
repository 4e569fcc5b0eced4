"""Partial results of a long loop on disk, so that Ctrl-C or a crash at 90 % costs 10 %.

They are taken up only where somebody asked for it (`pytest --cell-resume`): a run that is merely started again scores
everything anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

from benchgate.storage import cache

RESUME = "BENCHGATE_RESUME"


def take_up(wanted: bool) -> None:
    """From now on loops go on with partial results, or begin anew; processes that are started from here do so too."""
    if wanted:
        os.environ[RESUME] = "1"
    else:
        os.environ.pop(RESUME, None)


class Resumable(MutableMapping[str, Any]):
    """A dict of JSON values kept in the cache under `key` until `discard`.

    New items are on disk after `sync`. `key` must name everything that the values depend on: the contents of the model,
    the source of what scores it, the data by hash. Without `take_up(True)` it begins empty. Where another process is at
    the same loop, this one keeps its values in a file of its own.
    """

    def __init__(self, key: Any) -> None:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self.path: Path = cache.root() / "partial" / f"{digest[:16]}.jsonl"
        self._lock: Any = None
        self._values: dict[str, Any] = {}
        self._new: list[str] = []

    def __enter__(self) -> Resumable:
        self._acquire()
        if not os.environ.get(RESUME):
            with cache.explained(self.path):
                self.path.unlink(missing_ok=True)
        elif self.path.exists():
            whole: list[str] = []
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
                try:
                    values = json.loads(line)
                except (ValueError, RecursionError):
                    values = None
                if not (isinstance(values, dict) and line.endswith("\n")):
                    # The line that the interruption cut: its items are made again, and the next need a fresh line.
                    with cache.explained(self.path):
                        self.path.write_text("".join(whole), encoding="utf-8")
                    break
                self._values.update(values)
                whole.append(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.sync()
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        import filelock

        with cache.explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(f"{self.path}.lock")
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                self.path = self.path.with_name(f"{self.path.stem}-{uuid.uuid4().hex[:8]}.jsonl")
                self._lock = filelock.FileLock(f"{self.path}.lock")
                self._lock.acquire(timeout=0)

    def sync(self) -> None:
        if self._new:
            with cache.explained(self.path), self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({name: self._values[name] for name in self._new}) + "\n")
            self._new.clear()

    def discard(self) -> None:
        """The loop is complete: forget the partial results."""
        self._new.clear()
        self.path.unlink(missing_ok=True)
        self.path.with_name(f"{self.path.name}.lock").unlink(missing_ok=True)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name] = value
        self._new.append(name)

    def __delitem__(self, name: str) -> None:
        del self._values[name]
        self._new = [new for new in self._new if new != name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
