"""The folder of a project's saved baselines, and which of them is promoted.

Files are written whole or not at all. Their suffix is none that pytest-benchmark looks for in its own folder, of which
this is a part: a baseline must not be taken for a stored run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchgate.core import BenchgateError, DataError, UnknownName, unknown_name
from benchgate.gate.baselines import Promoted
from benchgate.gate.saved import NAME, Saved, as_text, check_name, parse
from benchgate.results import Record
from benchgate.storage.project import find_root
from benchgate.storage.whole import write_whole

FOLDER = Path(".benchmarks") / "baselines"
SUFFIX = ".baseline"
POINTER = "PROMOTED"
AGAIN = "promote one: `benchgate baseline promote NAME`"


@dataclass(frozen=True)
class Shelf:
    """The baselines in `folder`."""

    folder: Path

    @classmethod
    def of(cls, start: Path) -> Shelf:
        """That of the project around a folder."""
        return cls(find_root(start) / FOLDER)

    def path(self, name: str) -> Path:
        """The file of a name, which need not be there. Raises BenchgateError for a name that cannot be."""
        return self.folder / f"{check_name(name)}{SUFFIX}"

    def names(self) -> list[str]:
        """All names, in order; files of other names are passed over."""
        found = (path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}") if path.is_file())
        return sorted(name for name in found if NAME.fullmatch(name))

    def read(self, name: str) -> tuple[Saved, list[Record]]:
        """A baseline and its records. Raises UnknownName with near matches, DataError for one that is broken."""
        path = self.path(name)
        if not path.is_file():
            raise UnknownName(f"{unknown_name('baseline', name, self.names())}; `benchgate baseline list` shows them")
        return parse(path, name)

    def add(self, saved: Saved, records: Sequence[Record]) -> Path:
        """Write a new baseline. Raises BenchgateError where its name is taken: what runs were held against stays."""
        path = self.path(saved.name)
        if path.exists():
            raise BenchgateError(f"baseline {saved.name!r} exists: {path}; give another name, or remove that file")
        _write(path, as_text(saved, records))
        return path

    def promote(self, name: str) -> None:
        """Make a baseline the reference of the project. Raises as `read` does."""
        self.read(name)
        _write(self.folder / POINTER, json.dumps({"name": name, "sha256": _digest(self.path(name))}) + "\n")

    def promoted_name(self) -> str | None:
        """The promoted baseline's name, None without one. Raises DataError where it is gone or another than it was."""
        pointer = self.folder / POINTER
        try:
            raw = json.loads(pointer.read_text(encoding="utf-8"))
            name, digest = raw["name"], raw["sha256"]
            path = self.path(name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, BenchgateError) as error:
            raise DataError(f"{pointer}: does not name a baseline ({error}); {AGAIN}") from error
        if not path.is_file():
            raise DataError(f"promoted baseline {name!r} is gone: no {path}; {AGAIN}")
        if _digest(path) != digest:
            raise DataError(f"promoted baseline {name!r} is not what was promoted: {path} was changed; {AGAIN}")
        return str(name)

    def promoted(self) -> Promoted | None:
        """The reference of the project, None without one. Raises DataError where it cannot be used."""
        name = self.promoted_name()
        if name is None:
            return None
        saved, records = self.read(name)
        return Promoted(name, saved.shown_commit, f"{name}@{_digest(self.path(name))[:12]}", tuple(records))

    def prune(self, keep: int) -> tuple[list[str], list[str]]:
        """Remove all but the newest `keep`; names that are gone, and a line for each broken one, which stays.

        The promoted one stays and is not counted. Raises DataError where it cannot be told which one that is.
        """
        promoted = self.promoted_name()
        broken: list[str] = []
        whole = list(self._whole(broken))
        others = sorted((saved.saved, saved.name) for saved in whole if saved.name != promoted)
        gone = [name for _, name in others[: max(0, len(others) - keep)]]
        for name in gone:
            self.path(name).unlink()
        return gone, broken

    def _whole(self, broken: list[str]) -> Iterator[Saved]:
        for name in self.names():
            try:
                yield self.read(name)[0]
            except BenchgateError as error:
                broken.append(str(error))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `ls -l {path}` shows why, or {AGAIN}") from error


def _write(path: Path, text: str) -> None:
    """Write a file in one step. Raises DataError for a place that cannot be written; an older file is left then."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); free some space, or `ls -ld` its folder"
        ) from error
