"""`benchgate cache list|clear|why`: what is in the cache, why it was built, and making room."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchgate.core import BenchgateError
from benchgate.core.units import human
from benchgate.storage import cache, kept
from benchgate.storage.kept import Kept

# From seconds on: divided by, said as.
AGES = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="list|clear|why", dest="action")
    actions.add_parser("list", help="artifacts with size, age, content and state")
    clear = actions.add_parser("clear", help="remove artifacts")
    clear.add_argument("names", nargs="*", metavar="NAME", help="as `list` shows it, or a pattern: 'rewrite-t5*'")
    clear.add_argument("--all", action="store_true", help="all that was fetched, built and trained")
    clear.add_argument("--leftovers", action="store_true", help="what ended processes left half done: downloads, locks")
    clear.add_argument("--days", type=float, default=1, metavar="N", help="... older than this (default: 1)")
    why = actions.add_parser("why", help="what an artifact was built from, and how those of one name differ")
    why.add_argument("name", metavar="NAME", help="model-scheme-runtime, as `list` shows it")


def run(arguments: argparse.Namespace, console: Console) -> int:
    return ACTIONS[arguments.action](arguments, console)


def _list(arguments: argparse.Namespace, console: Console) -> int:
    found = kept.kept()
    console.print(f"{cache.root()}: {len(found)} artifacts, {human(sum(k.size_bytes for k in found), 'B')}")
    if found:
        table = Table(box=None, pad_edge=False)
        for column in ("artifact", "size", "age", "content", "state"):
            table.add_column(column, overflow="fold", justify="right" if column in ("size", "age") else "left")
        for one in found:
            table.add_row(one.path.name, human(one.size_bytes, "B"), _age(one), one.content, one.problem or "good")
        console.print(table)
    return 0


def _clear(arguments: argparse.Namespace, console: Console) -> int:
    if arguments.all + arguments.leftovers + bool(arguments.names) != 1:
        raise BenchgateError("cache clear needs names, --all or --leftovers, and only one; see `benchgate cache list`")
    if not arguments.days >= 0:
        raise BenchgateError(f"--days {arguments.days:g}: a number from 0 on is needed")
    stays: list[str] = []
    if arguments.all:
        freed = kept.remove_all()
    elif arguments.leftovers:
        freed = kept.remove_leftovers(arguments.days * AGES[0][0])
    else:
        freed, stays = kept.remove(one.path for one in kept.chosen(arguments.names))
    console.print(f"{human(freed, 'B')} free")
    for line in stays:
        console.print(line, soft_wrap=True)
    return 1 if stays else 0


def _why(arguments: argparse.Namespace, console: Console) -> int:
    found = kept.chosen([arguments.name])
    for label, group in itertools.groupby(found, key=lambda one: one.label):
        newest, *older = group
        console.print(f"{label}: {newest.path.name}, built {_age(newest)} ago, {newest.content}", soft_wrap=True)
        for part, value in kept.consists_of(newest):
            console.print(f"  {part}: {_short(value)}", soft_wrap=True)
        for other in older:
            console.print(f"  {other.path.name}, built {_age(other)} ago, {other.content}, differs in", soft_wrap=True)
            for part, then, now in kept.difference(other, newest):
                console.print(f"    {part}: {_short(then)} -> {_short(now)}", soft_wrap=True)
    return 0


ACTIONS: dict[str, Callable[[argparse.Namespace, Console], int]] = {"list": _list, "clear": _clear, "why": _why}


def _age(one: Kept) -> str:
    if one.built is None:
        return "?"
    seconds = max(0.0, time.time() - one.built)
    unit, name = next((row for row in AGES if seconds >= 2 * row[0]), AGES[-1])
    return f"{seconds / unit:.0f} {name}"


def _short(value: str) -> str:
    """A digest's beginning; other values whole."""
    is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if is_digest else value
