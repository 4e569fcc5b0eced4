"""`benchgate doctor`: machine, devices, runtimes, caches, and what makes this a noisy machine."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchgate.commands import suite
from benchgate.report.inventory import print_doctor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    suite.whole()
    print_doctor(console)
    return 0
