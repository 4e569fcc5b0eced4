"""The protocol of instruments: what they are given and what they give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchgate.core import Metric, Operation, Work
from benchgate.measuring.resolved import Loaded
from benchgate.measuring.timing import Rounds


@dataclass(frozen=True)
class Asked:
    """The operation that is measured: its name and function, what it runs on, its parameters."""

    name: str
    function: Operation
    inputs: Any
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """What a meter looks at: a loaded cell, what is asked of it, how calls are repeated, and the metrics so far."""

    loaded: Loaded
    asked: Asked
    work: Work
    rounds: Rounds
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What a meter gives: metrics, those that cannot be had with the reason, details and kernels for the record."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    kernel: Mapping[str, Any] = field(default_factory=dict)


class Meter(Protocol):
    """One instrument. `gives` are the metrics that are missing, with one reason, when it raises Unavailable.

    `optional` says whether a cell makes sense without it; Unavailable from one that is not skips the whole cell.
    """

    name: str
    optional: bool
    gives: tuple[str, ...]

    def measure(self, subject: Subject) -> Reading:
        """Return the reading of this subject; single metrics that cannot be had are its `missing`."""
