"""The machines of a fleet as a project writes them down, and how long a run on them takes by what earlier ones took.

::

    address = "10.0.0.5:6379"       # of the cluster; RAY_ADDRESS where it is not said
    currency = "EUR"

    [kinds.rpi5]
    machines = 4
    price = 0.02                    # of a machine and hour

    [kinds.epyc]
    machines = 1
"""

from __future__ import annotations

import heapq
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError, unknown_name
from benchgate.results import Record
from benchgate.storage.reading import read_bytes

NAME = re.compile(r"[A-Za-z0-9._-]+")
EXAMPLE = '[kinds.rpi5] with machines = 4, and where you like price = 0.02; address = "HOST:6379" above it'
ENTRIES = ("address", "currency", "kinds")
OF_KIND = ("machines", "price")


@dataclass(frozen=True)
class Kind:
    """Machines of one kind; `price` is of one machine and hour, None where it is not said."""

    name: str
    machines: int
    price: float | None


@dataclass(frozen=True)
class Inventory:
    """The kinds of a fleet, by the file's order; `address` is the cluster's, "" where it is not said."""

    address: str
    currency: str
    kinds: tuple[Kind, ...]


@dataclass(frozen=True)
class Estimate:
    """A run of `cells` tests on one kind. `own` of them were timed on this kind before, `other` on other machines only.

    `seconds` is how long those take together on all of its machines, None where nothing is known.
    """

    kind: Kind
    cells: int
    own: int
    other: int
    seconds: float | None

    @property
    def unknown(self) -> int:
        return self.cells - self.own - self.other

    @property
    def cost(self) -> float | None:
        """The price of all machines for that long; None where it is not known."""
        if self.kind.price is None or self.seconds is None:
            return None
        return self.kind.price * self.kind.machines * self.seconds / 3600


def read_inventory(path: Path) -> Inventory:
    """The inventory of a TOML file. Raises DataError for a file, an entry or a value that means nothing."""
    raw = read_bytes(path, f"write one: {EXAMPLE}")
    try:
        found = tomllib.loads(raw.decode())
    except ValueError as error:
        raise DataError(f"{path}: no TOML: {error}") from error
    _known(found, ENTRIES, str(path))
    texts = {name: found.get(name, "") for name in ("address", "currency")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise DataError(f"{path}: {name} must be a text, got {text!r}")
    kinds = found.get("kinds")
    if not isinstance(kinds, dict) or not kinds:
        raise DataError(f"{path}: it names no kind of machine; write {EXAMPLE}")
    made = tuple(_kind(name, entry, f"{path}, [kinds.{name}]") for name, entry in kinds.items())
    return Inventory(texts["address"] or os.environ.get("RAY_ADDRESS", ""), texts["currency"], made)


def _known(entries: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for name in entries:
        if name not in allowed:
            raise DataError(f"{where}: {unknown_name('entry', name, allowed)}")


def _kind(name: str, entry: Any, where: str) -> Kind:
    if not NAME.fullmatch(name):
        raise DataError(f"{where}: a kind's name has letters, digits, '.', '_' and '-' only")
    if not isinstance(entry, dict):
        raise DataError(f"{where}: must be a table; write {EXAMPLE}")
    _known(entry, OF_KIND, where)
    machines, price = entry.get("machines", 1), entry.get("price")
    if not isinstance(machines, int) or isinstance(machines, bool) or machines < 1:
        raise DataError(f"{where}: machines must be a whole number from 1 on, got {machines!r}")
    if price is not None and (isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < 1e9):
        raise DataError(f"{where}: price must be a number from 0 on, got {price!r}")
    return Kind(name, machines, None if price is None else float(price))


def estimate(kind: Kind, tests: Sequence[str], records: Iterable[Record], seconds: str) -> Estimate:
    """How long these tests take on a kind, by records of earlier runs, oldest first; `seconds` names their detail.

    Each test goes to the machine that is free first, the longest before the others (LPT, Graham 1969).
    """
    own: dict[str, float] = {}
    other: dict[str, float] = {}
    for record in records:
        took = record.details.get(seconds)
        if isinstance(took, int | float) and took > 0:
            (own if record.machine.get("kind") == kind.name else other)[record.key] = float(took)
    known = {test: own.get(test, other.get(test)) for test in tests}
    times = sorted((took for took in known.values() if took is not None), reverse=True)
    free = [0.0] * kind.machines
    for took in times:
        heapq.heapreplace(free, free[0] + took)
    from_own = sum(test in own for test in tests)
    return Estimate(kind, len(tests), from_own, len(times) - from_own, max(free) if times else None)
