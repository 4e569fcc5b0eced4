"""`benchgate doctor`: machine, devices, runtimes, caches, and what makes this a noisy machine."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchgate import registration
from benchgate.report.inventory import print_doctor
from benchgate.storage.project import working_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    registration.load_project(working_folder())
    print_doctor(console)
    return 0
