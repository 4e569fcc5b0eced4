"""The base of what models are scored on: named items with the hash of where they came from, and seeded samples of them.

@dataclass(frozen=True)
class Riddles(DataSet[Riddle]):
    option = "--riddles"

riddles = Riddles.from_jsonl(path, parse_line)
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from benchgate.core import DataError
from benchgate.storage.reading import parse_lines, read_bytes
from benchgate.tasks.dataset_folder import read_folder

Item = TypeVar("Item")


@dataclass(frozen=True)
class DataSet(Generic[Item]):
    """A named set of items. `sha256` is of the whole file, also for a sample of it; `total` counts the whole.

    `outer` are the (size, seed) of the samples that this sample was drawn from. `option` is what a message says to give
    a larger number to, `kind` what the items are called in it.
    """

    name: str
    sha256: str
    items: tuple[Item, ...]
    total: int
    seed: int | None = None
    outer: tuple[tuple[int, int], ...] = ()

    option: ClassVar[str] = "--cell-samples"
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
        outer = self.outer if self.seed is None else (*self.outer, (len(self.items), self.seed))
        return replace(self, items=tuple(self.items[i] for i in chosen), seed=seed, outer=outer)

    def describe(self) -> dict[str, Any]:
        """The facts of the data that the report shows beside every figure made with it: equal for equal items only."""
        return {
            "dataset": self.name,
            "sha256": self.sha256,
            "n": len(self.items),
            "of": self.total,
            "seed": self.seed,
            # 15 of 100 are other items than 15 of 40.
            **({"sampled_of": [list(one) for one in self.outer]} if self.outer else {}),
        }

    @classmethod
    def from_jsonl(
        cls, path: Path, parse_entry: Callable[[Mapping[str, Any], str], Item], form: str, names: Iterable[str] = ()
    ) -> Self:
        """The items of a file of one JSON object a line, see `from_bytes`, or of a folder of `datasets`, see
        `read_folder`. `names` are what could be given instead.

        Raises DataError for a file that is missing, too large, empty, or has a broken line (naming it).
        """
        if path.is_dir():
            sha256, rows = read_folder(path, form)
            return cls._of(tuple(parse_entry(row, place) for place, row in rows), path.name, sha256, str(path))
        known = "".join(f"{name!r}, " for name in names)
        raw = read_bytes(path, f"give {known}or a JSONL file of {cls.kind}")
        return cls.from_bytes(raw, path.stem, str(path), parse_entry, form)

    @classmethod
    def from_bytes(
        cls, raw: bytes, name: str, where: str, parse_entry: Callable[[Mapping[str, Any], str], Item], form: str
    ) -> Self:
        """A JSONL file's bytes as a data set; one broken line refuses the whole file, so that n is never quietly
        smaller. `parse_entry(object, place)` makes the item or raises DataError; `form` shows what a line must be."""
        items = tuple(parse_entry(entry, place) for place, entry in parse_lines(raw, where, form))
        return cls._of(items, name, hashlib.sha256(raw).hexdigest(), where)

    @classmethod
    def _of(cls, items: tuple[Item, ...], name: str, sha256: str, where: str) -> Self:
        if not items:
            raise DataError(f"{where}: no {cls.kind} in it; a score of nothing would mean nothing")
        return cls(name, sha256, items, len(items))
