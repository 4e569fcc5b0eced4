"""A cell's findings against the stored runs and those against the promoted baseline, as one list: the worst counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchgate.gate.baselines import Promoted
from benchgate.gate.findings import FAILING, SUSPICIOUS, Finding, Kind

# Worse than the promoted one, and no stored run says so: that is what small steps add up to.
SAID: dict[Kind, Kind] = {
    "regressed": "drifted",
    "no longer measured": "no longer measured",
    SUSPICIOUS: SUSPICIOUS,
    "inconclusive": "inconclusive",
}


def alone(beside: Sequence[Finding], promoted: Promoted) -> list[Finding]:
    """The findings against the promoted baseline of a cell that no stored run has: it stands in for them."""
    return [_named(finding, finding.kind, promoted) for finding in beside]


def merged(found: Sequence[Finding], beside: Sequence[Finding], promoted: Promoted) -> list[Finding]:
    """`found` (against stored runs) with each metric that is worse `beside` (against the promoted one) in its place.

    What cannot be held against the promoted baseline is said once a reason, for the cell as a whole.
    """
    worse = {
        finding.metric: _named(finding, SAID[finding.kind], promoted)
        for finding in beside
        if finding.metric and finding.kind in SAID
    }
    kept = [_worst(finding, worse.pop(finding.metric, finding)) for finding in found]
    return [*kept, *worse.values(), *_not_held(found, beside, promoted)]


def _worst(ours: Finding, theirs: Finding) -> Finding:
    return theirs if _rank(theirs) > _rank(ours) else ours


def _rank(finding: Finding) -> int:
    return 3 * (finding.kind in FAILING) + 2 * (finding.kind == SUSPICIOUS) + (finding.kind == "inconclusive")


def _not_held(found: Sequence[Finding], beside: Sequence[Finding], promoted: Promoted) -> Iterator[Finding]:
    said = {finding.reason for finding in found if not finding.metric}
    gated = [f for f in beside if f.kind == "not compared" and (not f.metric or f.tolerance is not None)]
    # Of another model version or with other parameters.
    other = [f for f in beside if f.kind == "new" and not f.metric]
    for reason in dict.fromkeys(f.reason for f in (*gated, *other) if f.reason not in said):
        yield Finding("not compared", beside[0].key, reason=f"{promoted.label}: {reason}")


def _named(finding: Finding, kind: Kind, promoted: Promoted) -> Finding:
    reason = f"against {promoted.label}" + (f": {finding.reason}" if finding.reason else "")
    return replace(finding, kind=kind, reason=reason)
