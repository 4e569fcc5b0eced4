"""All that there is: assets, runtimes, devices, the machine. For `benchgate fetch --list` and `benchgate doctor`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from benchgate.core import models, runtimes, schemes
from benchgate.core.units import human
from benchgate.machine import energy_counters, throttling
from benchgate.machine import fingerprint as machine
from benchgate.machine.devices import devices
from benchgate.machine.packages import missing_packages, versions
from benchgate.storage import cache
from benchgate.storage.assets import Asset, state


def asset_table(assets: Iterable[Asset]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("name", "size", "licence", "state", "source", "place"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for asset in assets:
        size = human(asset.size_bytes, "B")
        table.add_row(asset.name, size, asset.licence, state(asset), str(asset.source), str(asset.path))
    return table


def print_doctor(console: Console) -> None:
    """Everything that decides what can be measured here and how far the times can be trusted."""
    _print_pairs(console, "machine", machine.fingerprint("cpu").items())
    _print_pairs(console, "noise", {**machine.noise(), **throttling.read().as_dict()}.items())
    _print_energy(console)
    _print_pairs(console, "devices", ((d.name, d.missing() or "available") for d in devices.values()))
    _print_pairs(console, "runtimes", ((r.name, runtime_state(r.name)) for r in runtimes.values()))
    _print_pairs(console, "models", ((m.name, f"{m.task}, version {m.version}") for m in models.values()))
    _print_pairs(console, "schemes", [("known", ", ".join(schemes))])
    _print_pairs(console, "cache", _cache_state())


def _print_energy(console: Console) -> None:
    found, missing = energy_counters.states()
    title = "energy" if found else "energy: no counter can be read here"
    _print_pairs(console, title, [*found.items(), *((name, f"no: {reason}") for name, reason in missing.items())])


def runtime_state(name: str) -> str:
    """Return `available` with the versions of its packages, or the reason why it cannot run here."""
    runtime = runtimes[name]
    missing = missing_packages(runtime.needs) or runtime.missing("cpu")
    found = ", ".join(f"{package} {version}" for package, version in versions(runtime.needs).items())
    return missing or f"available ({found or 'no packages needed'})"


def _cache_state() -> Iterable[tuple[str, str]]:
    root = cache.root()
    yield "folder", f"{root} (BENCHGATE_CACHE moves it)"
    for part in ("assets", "artifacts", "downloads", "partial"):
        folder = root / part
        if folder.is_dir():
            yield part, human(cache.tree_bytes(folder), "B")


def _print_pairs(console: Console, title: str, pairs: Iterable[tuple[str, object]]) -> None:
    console.print(title, style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(f"  {name}", str(value))
    console.print(table)
