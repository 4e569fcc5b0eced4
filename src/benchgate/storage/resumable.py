"""Partial results of a long loop on disk, so that Ctrl-C or a crash at 90 % costs 10 %."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

from benchgate.storage import cache


class Resumable(MutableMapping[str, Any]):
    """A dict of JSON values kept in the cache under `key` until `discard`.

    New items are on disk after `sync`. `key` must name everything that the values depend on.
    """

    def __init__(self, key: Any) -> None:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self.path: Path = cache.root() / "partial" / f"{digest[:16]}.jsonl"
        self._values: dict[str, Any] = {}
        self._new: list[str] = []

    def __enter__(self) -> Resumable:
        if self.path.exists():
            whole: list[str] = []
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
                try:
                    values = json.loads(line)
                except ValueError:
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
        self.sync()

    def sync(self) -> None:
        if self._new:
            with cache.explained(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps({name: self._values[name] for name in self._new}) + "\n")
            self._new.clear()

    def discard(self) -> None:
        """The loop is complete: forget the partial results."""
        self._new.clear()
        self.path.unlink(missing_ok=True)

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
