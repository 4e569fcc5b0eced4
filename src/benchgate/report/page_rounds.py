"""The single rounds of a cell for its page: in their order with the disturbed blocks, and as a distribution.

Where they are too many they are thinned out so that nothing rare is lost: of each stretch of rounds the fastest and the
slowest stay, and the distribution keeps its smallest and largest value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Rounds that a cell keeps, tried in this order until all cells' rounds together fit.
KEPT = (2000, 600, 200, 100, 50, 24)
DIGITS = 4


@dataclass(frozen=True)
class Block:
    """Rounds `first` to `last`, counted from 0 and both included; `disturbed` says by what, "" for nothing."""

    first: int
    last: int
    disturbed: str


@dataclass(frozen=True)
class Rounds:
    """Seconds of each round in order. `blocks` is empty where the file does not say which rounds are of which."""

    seconds: tuple[float, ...]
    blocks: tuple[Block, ...] = ()


def rounds_of(document: Mapping[str, Any]) -> dict[str, Rounds]:
    """Return the rounds by test of a results document that `read_document` has checked; tests without any are not in
    it (`--benchmark-autosave` keeps them only with `--benchmark-save-data`)."""
    return dict(_each(document))


def _each(document: Mapping[str, Any]) -> Iterator[tuple[str, Rounds]]:
    for bench in document["benchmarks"]:
        data = _at(bench, "stats", "data")
        block = _at(bench, "extra_info", "benchgate")
        if not isinstance(data, list) or not data or not isinstance(block, dict):
            continue
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in data):
            seconds = tuple(map(float, data))
            yield str(block.get("key")), Rounds(seconds, _blocks(_at(block, "details", "blocks"), len(seconds)))


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _blocks(raw: Any, n: int) -> tuple[Block, ...]:
    """The blocks whose rounds were kept: all of them, or the undisturbed ones where the others were measured again."""
    listed = (
        [b for b in raw if isinstance(b, dict) and isinstance(b.get("rounds"), int)] if isinstance(raw, list) else []
    )
    for kept in (listed, [b for b in listed if not b.get("disturbed")]):
        if kept and sum(b["rounds"] for b in kept) == n:
            return tuple(_numbered(kept))
    return ()


def _numbered(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    first = 0
    for block in blocks:
        reasons = block.get("disturbed")
        told = "; ".join(map(str, reasons)) if isinstance(reasons, list) else str(reasons or "")
        if block["rounds"] > 0:
            yield Block(first, first + block["rounds"] - 1, told)
        first += block["rounds"]


def course(seconds: Sequence[float], kept: int) -> list[tuple[int, float]]:
    """Return (number, seconds) of at most `kept` rounds: all, or of equal stretches the fastest and the slowest."""
    if len(seconds) <= kept:
        return list(enumerate(seconds))
    stretches = max(1, kept // 2)
    found: list[tuple[int, float]] = []
    for part in range(stretches):
        start, end = part * len(seconds) // stretches, (part + 1) * len(seconds) // stretches
        places = range(start, end)
        ends = {min(places, key=seconds.__getitem__), max(places, key=seconds.__getitem__)}
        found += [(place, seconds[place]) for place in sorted(ends)]
    return found


def distribution(seconds: Sequence[float], kept: int) -> list[tuple[float, float]]:
    """Return (seconds, share of rounds that took at most that) at no more than `kept` places, the last one included."""
    ordered, n = sorted(seconds), len(seconds)
    spread = {round(step * (n - 1) / (kept - 1)) for step in range(kept)}
    places = range(n) if n <= kept else sorted(spread)
    return [(ordered[place], (place + 1) / n) for place in places]


def as_data(rounds: Rounds, kept: int) -> dict[str, Any]:
    """Return what the page draws: seconds of four digits, `n` of all rounds, blocks as [first, last, reason]."""
    points = course(rounds.seconds, kept)
    whole = len(rounds.seconds) <= kept
    found: dict[str, Any] = {"n": len(rounds.seconds), "y": [short(value) for _, value in points]}
    if not whole:
        spread = distribution(rounds.seconds, kept)
        found |= {
            "x": [place for place, _ in points],
            "q": [short(value) for value, _ in spread],
            "p": [short(share) for _, share in spread],
        }
    found["b"] = [[block.first, block.last, block.disturbed] for block in rounds.blocks]
    return found


def short(value: float) -> float:
    """The number at four significant digits."""
    return float(f"{value:.{DIGITS}g}")
