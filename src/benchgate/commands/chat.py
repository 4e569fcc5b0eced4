"""`benchgate chat`: queries reformulated as they are typed, or one a line from a pipe."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from benchgate.commands.answering import add_model_arguments, need, reformulator
from benchgate.serving.chat import answer_lines, converse

NEEDS = {"prompt_toolkit": "chat"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    piped = not sys.stdin.isatty()
    if not piped:
        need(NEEDS)
    loaded = reformulator(arguments)()
    try:
        return answer_lines(loaded, sys.stdin.buffer, sys.stdout.buffer) if piped else converse(loaded)
    finally:
        loaded.session.close()
