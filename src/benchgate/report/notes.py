"""Lines below the tables: what was skipped, failed, is missing or cannot be trusted, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from benchgate.gate.disturbed import MARK, told
from benchgate.results import Record

# Each reason of these has its line, always: something went wrong.
ENDED = ("oom", "crash", "error", "timeout")
# Names of layers that a note shows.
LAYERS = 5


def notes(records: Iterable[Record], in_full: bool = True) -> Iterator[str]:
    """Skips, failures, undecided floors, disturbed and unsteady cells and missing metrics, each reason once.

    Not `in_full`, what nobody decides by is one line of counts.
    """
    known = list(records)
    yield from _outcomes(known, ENDED)
    folded = [list(_outcomes(known, ("skipped",))), list(_missing(known)), list(_undecidable(known))]
    if in_full:
        yield from (line for lines in folded for line in lines)
    else:
        yield from _shortened(known, *folded)
    yield from _left_in_float(known)
    yield from _disturbed(known, in_full)
    unsteady = sum(r.details.get("warm_up", {}).get("steady") is False for r in known)
    if unsteady:
        yield f"unsteady: {_cells(unsteady)} changed speed after warm-up; `benchgate doctor` tells why"


def _outcomes(records: Sequence[Record], outcomes: Sequence[str]) -> Iterator[str]:
    for outcome in outcomes:
        for reason, n in Counter(r.reason for r in records if r.outcome == outcome).items():
            yield f"{outcome}: {_cells(n)}: {reason}"


def _missing(records: Sequence[Record]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    missing = Counter((name, _general(reason)) for r in records for name, reason in r.missing.items())
    for (name, reason), n in missing.items():
        by_reason.setdefault(reason, []).append(f"{name} ({n})")
    for reason, names in by_reason.items():
        yield f"missing: {', '.join(names)}: {reason}"


def _undecidable(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        for verdict in record.details.get("floors", ()):
            if verdict["answer"] == "undecidable":
                yield f"undecidable: {'-'.join(record.cell.values())}: {verdict['text']}"


def _shortened(
    records: Sequence[Record], skipped: Sequence[str], missing: Sequence[str], undecidable: Sequence[str]
) -> Iterator[str]:
    """One reason is told as it is, several are counted."""
    left_out = sum(record.outcome == "skipped" for record in records)
    names = len({name for record in records for name in record.missing})
    counted = {
        f"skipped: {_cells(left_out)}, {len(skipped)} reasons": skipped,
        f"missing: {names} metrics, {len(missing)} reasons": missing,
        f"undecidable: {len(undecidable)} floors": undecidable,
    }
    yield from (lines[0] for lines in counted.values() if len(lines) == 1)
    several = [said for said, lines in counted.items() if len(lines) > 1]
    if several:
        yield f"{'; '.join(several)}: -v"


def _left_in_float(records: Sequence[Record]) -> Iterator[str]:
    """The layers that compressions left alone, a line for the cells that have the same."""
    cells: dict[tuple[str, str], dict[str, None]] = {}
    for record in records:
        names = record.kernel.get("left_in_float")
        if isinstance(names, list) and names:
            more = f" and {len(names) - LAYERS} more" if len(names) > LAYERS else ""
            layers = f"{', '.join(map(str, names[:LAYERS]))}{more}"
            cells.setdefault((str(record.kernel.get("quantized")), layers), {})["-".join(record.cell.values())] = None
    for (quantized, layers), found in cells.items():
        where = next(iter(found)) if len(found) == 1 else _cells(len(found))
        yield f"{quantized}: {where}; in full precision: {layers}"


def _disturbed(records: Sequence[Record], in_full: bool) -> Iterator[str]:
    marked = {r.key: text for r in records if (text := told(r.details.get("disturbed"))) is not None}
    if marked:
        cells = _cells(len(marked))
        yield f"disturbed ({MARK}): {cells}: neighbours were busy; no baseline, they decide nothing"
        if in_full:
            yield from (f"  {key}: {text}" for key, text in marked.items())


def _cells(n: int) -> str:
    return f"{n} cell{'s' if n > 1 else ''}"


def _general(reason: str) -> str:
    """A reason without this cell's own number of samples, so that one line holds for all."""
    return re.sub(r"^n=\d+: ", "too few rounds (--benchmark-max-time=60 gets more): ", reason)
