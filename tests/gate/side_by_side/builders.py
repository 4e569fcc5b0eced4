"""Blocks and pairs of scripted times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchgate.gate.side_by_side.statistic import CORRECTED, CPU, WALL, Pair
from benchgate.gate.side_by_side.timed import Block


def a_block(wall: Sequence[float], **fields: Any) -> Block:
    """A block whose every round was on a CPU all the time, unless `cpu` or `delay` say else."""
    defaults: dict[str, Any] = {
        "calls": 1,
        "wall": tuple(wall),
        "cpu": tuple(wall),
        "delay": tuple(0.0 for _ in wall),
        "rss_bytes": 10**8,
    }
    return Block(**{**defaults, **fields})


def a_pair(shift: float, zygote: int = 0, **fields: Any) -> Pair:
    """A pair of one log ratio by all statistics; `wall`, `corrected`, `cpu` override one (None: it does not fit)."""
    given = {name: fields.pop(key, shift) for name, key in ((WALL, "wall"), (CORRECTED, "corrected"), (CPU, "cpu"))}
    return Pair({name: value for name, value in given.items() if value is not None}, zygote, **fields)


def pairs(shifts: Sequence[float], a_zygote: int = 4, first: int = 0, **fields: Any) -> list[Pair]:
    """Pairs of these log ratios, fresh zygotes every `a_zygote`, numbered from `first`."""
    return [a_pair(shift, first + i // a_zygote, **fields) for i, shift in enumerate(shifts)]
