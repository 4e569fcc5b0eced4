"""`benchgate load`: queries sent to a server at given rates or from given clients, and their latencies."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchgate.commands.answering import need
from benchgate.core import BenchgateError
from benchgate.serving.settings import TOKEN_VARIABLE, read_token

NEEDS = {"aiohttp": "serve"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="http://127.0.0.1:8000")
    parser.add_argument(
        "--rate", type=_numbers(float), default=[], metavar="R,...", help="open loop: requests a second"
    )
    parser.add_argument("--clients", type=_numbers(int), default=[], metavar="K,...", help="closed loop: clients")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds a level (default: 10)")
    parser.add_argument("--queries", type=Path, metavar="FILE", help="JSONL with context and query (default: some own)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"bearer token (default: ${TOKEN_VARIABLE})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(arguments: argparse.Namespace, console: Console) -> int:
    need(NEEDS)
    from benchgate.serving.load import Level, measure
    from benchgate.serving.load_report import load_table, read_bodies, write_figures

    levels = [Level("rate", rate) for rate in arguments.rate]
    levels += [Level("clients", clients) for clients in arguments.clients]
    if not levels:
        raise BenchgateError("nothing to send; give --rate 50,100,200 or --clients 1,16")
    bodies = read_bodies(arguments.queries)
    results = measure(arguments.url, levels, arguments.duration, bodies, read_token(arguments.token_file))
    console.print(load_table(results))
    if arguments.json:
        write_figures(arguments.json, results)
    return 0


def _numbers(kind: type[int] | type[float]) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        numbers = [kind(part) for part in text.split(",")]
        if not all(0 < number < float("inf") for number in numbers):
            raise ValueError
        return numbers

    # argparse names the function when it cannot read a value.
    parse.__name__ = "list of numbers above 0"
    return parse
