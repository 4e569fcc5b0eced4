"""The output of `benchgate build`: the artifacts, what is not there and why, and where texts differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchgate.core.units import human
from benchgate.measuring.building import BEAMS, Built

SHOWN_DIFFERENCES = 2
SHOWN_REASONS = 8


def print_built(console: Console, found: Sequence[Built], nonsense: Counter[str]) -> None:
    console.print(_table(found))
    for built in found:
        if built.path is not None:
            console.print(f"{built.cell}: {built.path}", soft_wrap=True)
    for built in found:
        if built.path is None:
            console.print(f"{built.cell}: {'failed' if built.failed else 'skipped'}: {built.reason}", soft_wrap=True)
    if len(nonsense) > SHOWN_REASONS:
        console.print(f"left out, {nonsense.total()} combinations that make no sense; --scheme NAME says why")
    for reason, count in nonsense.items() if len(nonsense) <= SHOWN_REASONS else ():
        console.print(f"left out, {count} x {reason}", soft_wrap=True)
    for built in found:
        _print_differences(console, built)


def _table(found: Sequence[Built]) -> Table:
    checked = any(built.agreement for built in found)
    table = Table(box=None, pad_edge=False)
    columns = ["cell", "size", "built in"] + (["greedy = fp32", f"{BEAMS} beams = fp32"] if checked else [])
    for column in columns:
        table.add_column(column, justify="left" if column == "cell" else "right", no_wrap=column != "cell")
    for built in found:
        if built.path is None:
            continue
        row = [str(built.cell), human(built.size_bytes, "B"), _seconds(built)]
        if same := built.agreement:
            row += [f"{same.greedy} of {same.total}", f"{same.beams} of {same.total}"]
        table.add_row(*row)
    return table


def _seconds(built: Built) -> str:
    return "in the cache" if built.seconds is None else f"{built.seconds:.1f} s"


def _print_differences(console: Console, built: Built) -> None:
    if built.agreement is None:
        return
    for difference in built.agreement.differences[:SHOWN_DIFFERENCES]:
        how = "greedy" if difference.beams == 1 else f"{difference.beams} beams"
        console.print(f"{built.cell}, {how}, {difference.query!r}:", soft_wrap=True)
        console.print(f"  fp32: {difference.expected}", soft_wrap=True)
        console.print(f"  here: {difference.found}", soft_wrap=True)
