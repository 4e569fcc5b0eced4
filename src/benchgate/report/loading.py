"""The table of `benchgate loading`: a row for each way in which a cell's weights are loaded."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchgate.core.units import human
from benchgate.measuring.loading import CALLS, TOGETHER, Loading

ABSENT = "-"
COLUMNS = (
    "cell", "load", "cold load", "first call", "warm load", "first call", "call", "call, evicted", "private",
    "file-backed", "resident", *(f"{count} share" for count in TOGETHER), "disk",
)  # fmt: skip


def print_loading(console: Console, found: Sequence[Loading]) -> None:
    """Print the table, what its columns are, and why figures are absent."""
    table = Table(box=None, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("cell", "load") else "right")
    for one in found:
        table.add_row(*row(one))
    console.print(table)
    console.print(
        f"private, file-backed, resident: what loading and one call added. share: Pss of so many processes, times that "
        f"of one. evicted: median of {CALLS} calls, all pages of the file taken out of memory before each, in the "
        "place of a limit below the model's size: no limit was set",
        soft_wrap=True,
    )
    for one in found:
        for name, reason in one.missing.items():
            console.print(f"absent: {one.cell} {one.way}: {name}: {reason}", soft_wrap=True, markup=False)


def row(one: Loading) -> list[str]:
    """Return the cells of one row, in the order of COLUMNS."""
    times = (
        one.cold_load_s, one.cold_first_call_s, one.warm_load_s, one.warm_first_call_s, one.call_s, one.evicted_call_s,
    )  # fmt: skip
    sizes = (one.private_bytes, one.file_backed_bytes, one.rss_bytes)
    shares = [one.together[count] / one.together[1] for count in TOGETHER]
    return [
        one.cell,
        one.way,
        *(ABSENT if value is None else human(value, "s") for value in times),
        *(human(value, "B") for value in sizes),
        *(f"x{share:.2f}" for share in shares),
        human(one.disk_bytes, "B"),
    ]
