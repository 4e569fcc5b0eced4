"""The base of what models are scored on: named items with the hash of where they came from, and seeded samples of them.

@dataclass(frozen=True)
class Riddles(DataSet[Riddle]):
    option = "--riddles"

riddles = Riddles.from_jsonl(path, parse_line)
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from benchgate.core import DataError

Item = TypeVar("Item")
MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 28


@dataclass(frozen=True)
class DataSet(Generic[Item]):
    """A named set of items. `sha256` is of the whole file, also for a sample of it; `total` counts the whole.

    `option` is what a message says to give a larger number to, `kind` what the items are called in it.
    """

    name: str
    sha256: str
    items: tuple[Item, ...]
    total: int
    seed: int | None = None

    option: ClassVar[str] = "--samples"
    kind: ClassVar[str] = "items"

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def sample(self, n: int, seed: int = 0) -> Self:
        """A seeded random sample of n items, in file order; everything when there are not more.

        Raises DataError for n < 1.
        """
        if n < 1:
            raise DataError(f"a sample needs at least one item, got {n}; give {self.option} a number >= 1")
        if n >= len(self.items):
            return self
        chosen = sorted(random.Random(seed).sample(range(len(self.items)), n))
        return replace(self, items=tuple(self.items[i] for i in chosen), seed=seed)

    def describe(self) -> dict[str, Any]:
        """The facts of the data that the report shows beside every figure made with it."""
        return {
            "dataset": self.name,
            "sha256": self.sha256,
            "n": len(self.items),
            "of": self.total,
            "seed": self.seed,
        }

    @classmethod
    def from_jsonl(
        cls, path: Path, parse_entry: Callable[[Mapping[str, Any], str], Item], form: str, names: Iterable[str] = ()
    ) -> Self:
        """The items of a file of one JSON object a line; see `from_bytes`. `names` are what could be given instead.

        Raises DataError for a file that is missing, too large, empty, or has a broken line (naming it).
        """
        try:
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise DataError(f"{path}: {size:,} bytes; at most {MAX_FILE_BYTES:,} are read: split the file")
            raw = path.read_bytes()
        except OSError as error:
            known = "".join(f"{name!r}, " for name in names)
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); give {known}or a JSONL file of {cls.kind}"
            ) from error
        return cls.from_bytes(raw, path.stem, str(path), parse_entry, form)

    @classmethod
    def from_bytes(
        cls, raw: bytes, name: str, where: str, parse_entry: Callable[[Mapping[str, Any], str], Item], form: str
    ) -> Self:
        """A JSONL file's bytes as a data set; one broken line refuses the whole file, so that n is never quietly
        smaller. `parse_entry(object, place)` makes the item or raises DataError; `form` shows what a line must be."""
        numbered = enumerate(raw.split(b"\n"), 1)
        items = tuple(
            parse_entry(parse_object(line, f"{where}, line {n}", form), f"{where}, line {n}")
            for n, line in numbered
            if line.strip()
        )
        if not items:
            raise DataError(f"{where}: no {cls.kind} in it; a score of nothing would mean nothing")
        return cls(name, hashlib.sha256(raw).hexdigest(), items, len(items))


def parse_object(line: bytes, where: str, form: str) -> dict[str, Any]:
    """One line of a JSONL file as a JSON object. Raises DataError naming the place and the form."""
    if len(line) > MAX_LINE_BYTES:
        raise DataError(f"{where}: {len(line):,} bytes; a line may have {MAX_LINE_BYTES:,}")
    try:
        entry = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start} of the line; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); each line must be {form}") from error
    if not isinstance(entry, dict):
        raise DataError(f"{where}: got {type(entry).__name__}; each line must be {form}")
    return entry
