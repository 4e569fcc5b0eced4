"""`benchgate recommend`: the cell to ship under limits, why, and what would change the answer."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchgate import registration
from benchgate.commands.exits import UNUSABLE, WORSE
from benchgate.core import BenchgateError
from benchgate.report.recommend import Recommendation, recommend
from benchgate.report.recommend_text import as_json, as_text
from benchgate.report.recommend_words import best_of, limits_of
from benchgate.results import read_records
from benchgate.storage.project import working_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JSON of `pytest --benchmark-json`")
    most = "at most that: rss=500MB, latency=20ms, size=100MB; without a value as --by"
    least = "at least that: decode=20, ap=35%%; without a value as --by: latency"
    parser.add_argument("--max", action="append", default=[], metavar="METRIC[=VALUE]", help=most)
    parser.add_argument("--min", action="append", default=[], metavar="METRIC[=VALUE]", help=least)
    parser.add_argument(
        "--max-loss",
        action="append",
        default=[],
        metavar="[NAME=]SHARE",
        help="the share of the fp32 cell's accuracy that may be lost: 1%%, perplexity=5%%",
    )
    parser.add_argument("--by", metavar="METRIC", help="what to be best in: latency, decode, size (default: the speed)")
    parser.add_argument("--at", action="append", default=[], metavar="NAME=VALUE", help="what was timed: context=512")
    parser.add_argument("--model", metavar="MODEL", help="this one only")
    parser.add_argument("--json", action="store_true", help="everything as JSON")


def run(arguments: argparse.Namespace, console: Console) -> int:
    registration.load_project(working_folder())
    limits = limits_of(arguments.max, arguments.min, arguments.max_loss)
    by = best_of(arguments.by, arguments.max, arguments.min)
    records = [record for path in dict.fromkeys(arguments.files) for record in read_records(path)]
    found = recommend(records, limits, by, _parameters(arguments.at), arguments.model)
    print(as_json(found) if arguments.json else as_text(found, console.width), end="")
    return max(map(_code, found))


def _code(answer: Recommendation) -> int:
    """0 for an answer, 1 where nothing keeps the limits, 2 where that cannot be said."""
    if answer.winner:
        return 0
    return UNUSABLE if answer.undecided else WORSE


def _parameters(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, sign, _) in zip(texts, pairs, strict=True) if not sign]:
        raise BenchgateError(f"--at {wrong[0]!r} has no value; write for example --at context=512")
    return {name: value for name, _, value in pairs}
