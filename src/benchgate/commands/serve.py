"""`benchgate serve`: queries reformulated over HTTP."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from benchgate.commands.answering import add_model_arguments, need, reformulator
from benchgate.serving.settings import TOKEN_VARIABLE, Settings, listen, read_token

NEEDS = {"fastapi": "serve", "uvicorn": "serve", "prometheus_client": "serve"}
_DEFAULTS = Settings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1; any other than loopback needs a token")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0 is any free one")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"bearer token (default: ${TOKEN_VARIABLE})")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name to be asked by, beside loopback's"
    )
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


def run(arguments: argparse.Namespace, console: Console) -> int:
    need(NEEDS)
    from benchgate.serving.server import serve

    load = reformulator(arguments)
    settings = Settings(
        max_batch=arguments.max_batch,
        queue=arguments.queue,
        timeout_s=arguments.timeout,
        head_timeout_s=arguments.timeout,
        body_timeout_s=arguments.timeout,
        write_timeout_s=arguments.timeout,
        max_bytes=arguments.max_bytes,
        max_connections=arguments.max_connections,
        token=read_token(arguments.token_file),
        hosts=tuple(name.lower() for name in arguments.allow_host),
    )
    with listen(arguments.host, arguments.port, settings.token) as listening:
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        said = f"benchgate: serving {arguments.cell} on http://{shown}:{port} (Ctrl-C stops)"
        ended = serve(load, settings, listening, lambda: print(said, file=sys.stderr, flush=True))
    print("benchgate: stopped", file=sys.stderr, flush=True)
    if not ended:
        # The interpreter's own end would take the libraries from under the model's thread, which aborts the process.
        os._exit(0)
    return 0
