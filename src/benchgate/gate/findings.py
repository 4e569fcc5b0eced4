"""The gate's findings, one a metric, and which kinds of them fail a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchgate.core.metrics import TABLE
from benchgate.core.units import human, percent, share

Kind = Literal[
    "regressed",
    "drifted",
    "improved",
    "unchanged",
    "informative",
    "new",
    "gone",
    "not compared",
    "no longer measured",
    "inconclusive",
    "suspicious",
]
SUSPICIOUS: Kind = "suspicious"
# What decides a suspicious time: both versions measured in turn.
CONFIRM = "pytest ... --benchmark-compare --gate-confirm main"
FAILING: frozenset[str] = frozenset({"regressed", "drifted", "no longer measured"})
UNDECIDED: frozenset[str] = frozenset({"not compared", "inconclusive", SUSPICIOUS})
# Kinds that say that a figure is another one than the baseline's, or may be.
CHANGED: frozenset[str] = FAILING | {SUSPICIOUS, "improved", "inconclusive"}
STRICT: frozenset[str] = FAILING | UNDECIDED | {"new", "gone"}


@dataclass(frozen=True)
class Finding:
    """The gate's answer for one metric of one cell (`metric` is "" for the cell as a whole).

    `tolerance` is None for what is shown and never gated; `absolute` says that it is a difference, not a ratio.
    `noise` is the relative change that the machine's noise explains, 0 where the tolerance alone decides.
    """

    kind: Kind
    key: str
    metric: str = ""
    now: float | None = None
    baseline: float | None = None
    tolerance: float | None = None
    reason: str = ""
    absolute: bool = False
    noise: float = 0.0

    @property
    def change(self) -> float | None:
        """(now - baseline) / |baseline|; None where the baseline is 0 or there is none."""
        if self.now is None or not self.baseline:
            return None
        return (self.now - self.baseline) / abs(self.baseline)

    def fails(self, strict: bool = False) -> bool:
        """True for what fails a run. Strictly that is also what is new, gone, suspicious, or gated and not compared."""
        if self.kind not in (STRICT if strict else FAILING):
            return False
        # Of a cell that was there, a metric more is no news; one that is never gated need not be comparable.
        return not self.metric or self.kind in FAILING or (self.kind in UNDECIDED and self.tolerance is not None)

    def __str__(self) -> str:
        if not self.metric:
            return f"{self.key}: {self.kind}" + (f": {self.reason}" if self.reason else "")
        if self.now is None or self.baseline is None:
            return f"{self.metric} {self.kind}: {self.reason}"
        reason = f", {self.reason}" if self.reason else ""
        unit = TABLE[self.metric].unit if self.metric in TABLE else ""
        course = f"{human(self.baseline, unit)} -> {human(self.now, unit)}"
        return f"{self.metric} {self.kind}: {course}{self._change()}{self._limit()}{reason}"

    def _change(self) -> str:
        """A difference where the tolerance is one, else the share of the baseline; nothing for a baseline of 0."""
        if self.now is None or self.baseline is None:
            return ""
        if self.absolute:
            return f", {self.now - self.baseline:+.3g}"
        return "" if self.change is None else f", {percent(self.change)}"

    def _limit(self) -> str:
        if self.tolerance is None:
            return ""
        allowed = f"{self.tolerance:g} absolute" if self.absolute else share(self.tolerance)
        noise = f", noise here {100 * self.noise:.2g} %" if self.noise else ""
        return f", allowed {allowed}{noise}"


def suspicious(findings: Iterable[Finding]) -> list[Finding]:
    """The times that a stored figure cannot decide; `finding.key` is the cell to measure side by side."""
    return [finding for finding in findings if finding.kind == SUSPICIOUS]


def how_to_confirm(findings: Iterable[Finding]) -> str | None:
    """The line that says how many times are suspicious and the next command; None for none."""
    found = suspicious(findings)
    if not found:
        return None
    n, cells = len(found), len({finding.key for finding in found})
    times, of = f"{n} time{'s' if n > 1 else ''}", f"{cells} cell{'s' if cells > 1 else ''}"
    return f"suspicious: {times} of {of}: no stored time can tell; measure both in turn: `{CONFIRM}`"


def failing(findings: Iterable[Finding], strict: bool = False) -> list[Finding]:
    """The findings that fail a run."""
    return [finding for finding in findings if finding.fails(strict)]
