"""The verbs `chat`, `serve` and `load` as the command line has them; each calls one function elsewhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchgate import registration
from benchgate.commands.cells import add_cell_arguments, chosen_cell
from benchgate.core import BenchgateError, Unavailable
from benchgate.machine.packages import missing_packages
from benchgate.serving.settings import TOKEN_VARIABLE, Settings, listen, read_token

SERVER_NEEDS = {"fastapi": "serve", "uvicorn": "serve", "prometheus_client": "serve"}
LOAD_NEEDS = {"aiohttp": "serve"}
CHAT_NEEDS = {"prompt_toolkit": "chat"}
_DEFAULTS = Settings()

AddVerb = Callable[..., argparse.ArgumentParser]


def add_verbs(verbs: Any, add: AddVerb) -> None:
    """Add the three to the parser's `verbs` with the command line's own `add(verbs, name, function, help)`."""
    _add_chat(add(verbs, "chat", _chat, "reformulate queries as you type them, or one a line from a pipe"))
    _add_serve(add(verbs, "serve", _serve, "reformulate queries over HTTP"))
    _add_load(
        add(verbs, "load", _load, "send queries to a server at given rates or from given clients; print latencies")
    )


def _add_chat(parser: argparse.ArgumentParser) -> None:
    add_cell_arguments(parser)
    _add_threads(parser)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the model (default: 1)")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add_cell_arguments(parser)
    _add_threads(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1; any other than loopback needs a token")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0 is any free one")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"bearer token (default: ${TOKEN_VARIABLE})")
    for name, kind, text in (
        ("max_batch", int, "queries that the model answers together"),
        ("queue", int, "queries that may wait; the rest get 429"),
        (
            "timeout",
            float,
            "seconds for a request's head, for its body, and for its answer",
        ),
        ("max_bytes", int, "length of a request's body"),
        ("max_connections", int, "open connections"),
    ):
        default = getattr(_DEFAULTS, "timeout_s" if name == "timeout" else name)
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=kind, default=default, metavar="N", help=f"{text} (default: {default:g})")


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="http://127.0.0.1:8000")
    parser.add_argument(
        "--rate", type=_numbers(float), default=[], metavar="R,...", help="open loop: requests a second"
    )
    parser.add_argument("--clients", type=_numbers(int), default=[], metavar="K,...", help="closed loop: clients")
    parser.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds a level (default: 10)")
    parser.add_argument("--queries", type=Path, metavar="FILE", help="JSONL with context and query (default: some own)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"bearer token (default: ${TOKEN_VARIABLE})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def _numbers(kind: type[int] | type[float]) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        numbers = [kind(part) for part in text.split(",")]
        if not all(0 < number < float("inf") for number in numbers):
            raise ValueError
        return numbers

    # argparse names the function when it cannot read a value.
    parse.__name__ = "list of numbers above 0"
    return parse


def _chat(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.serving.chat import answer_lines, converse

    piped = not sys.stdin.isatty()
    if not piped:
        _need(CHAT_NEEDS)
    reformulator = _reformulator(arguments)()
    try:
        if piped:
            return answer_lines(reformulator, sys.stdin.buffer, sys.stdout.buffer)
        return converse(reformulator)
    finally:
        reformulator.session.close()


def _serve(arguments: argparse.Namespace, console: Console) -> int:
    _need(SERVER_NEEDS)
    from benchgate.serving.server import serve

    load = _reformulator(arguments)
    settings = Settings(
        max_batch=arguments.max_batch,
        queue=arguments.queue,
        timeout_s=arguments.timeout,
        head_timeout_s=arguments.timeout,
        body_timeout_s=arguments.timeout,
        max_bytes=arguments.max_bytes,
        max_connections=arguments.max_connections,
        token=read_token(arguments.token_file),
    )
    with listen(arguments.host, arguments.port, settings.token) as listening:
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(
            f"benchgate: serving {arguments.cell} on http://{shown}:{port} (Ctrl-C stops)", file=sys.stderr, flush=True
        )
        serve(load, settings, listening)
    print("benchgate: stopped", file=sys.stderr)
    return 0


def _load(arguments: argparse.Namespace, console: Console) -> int:
    _need(LOAD_NEEDS)
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


def _reformulator(arguments: argparse.Namespace) -> Callable[[], Any]:
    """A function that loads the cell of the command line; that the cell exists and can run is checked at once."""
    from benchgate.serving.reformulate import TASK, load_reformulator

    registration.load_project(Path.cwd())
    if arguments.threads < 1:
        raise BenchgateError(f"--threads {arguments.threads}: at least 1 is needed")
    cell = chosen_cell(arguments, TASK)
    return lambda: load_reformulator(cell, arguments.threads)


def _need(packages: dict[str, str]) -> None:
    reason = missing_packages(packages)
    if reason:
        raise Unavailable(reason)
