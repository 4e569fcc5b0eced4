"""Made-up /sys trees of energy counters, and what else a test of them needs: the one place for such fakes."""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Any

MICRO = 10**6


class Clock:
    """Seconds that only a test moves; to sleep moves them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Tree:
    """A root folder whose files a test writes; `joules` and `watts` are written as the system does, in millionths."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, **files: object) -> None:
        """Files below the root; in the names `__` stands for a slash."""
        for name, value in files.items():
            self.put(name.replace("__", "/"), value)

    def put(self, path: str, value: object) -> Path:
        """Write one file below the root, and its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n", encoding="ascii")
        return file

    def zone(self, number: str, name: str, joules: float, range_j: float | None = 262143.328850) -> Path:
        """A powercap zone: `0` is a package, `0:1` one of its subdomains. Returns its energy_uj."""
        folder = f"sys/class/powercap/intel-rapl:{number}"
        self.put(f"{folder}/name", name)
        if range_j is not None:
            self.put(f"{folder}/max_energy_range_uj", round(range_j * MICRO))
        return self.put(f"{folder}/energy_uj", round(joules * MICRO))

    def chip(self, number: int, name: str, **files: object) -> str:
        """A chip of hwmon with these files. Returns its folder."""
        folder = f"sys/class/hwmon/hwmon{number}"
        for file, value in {"name": name, **files}.items():
            self.put(f"{folder}/{file}", value)
        return folder

    def battery(self, name: str = "BAT0", status: str = "Discharging", **files: object) -> str:
        """A battery that feeds the machine. Returns its folder."""
        return self.supply(name, type="Battery", status=status, **files)

    def supply(self, name: str, **files: object) -> str:
        """A power supply with these files. Returns its folder."""
        folder = f"sys/class/power_supply/{name}"
        for file, value in files.items():
            self.put(f"{folder}/{file}", value)
        return folder

    def events(self, cpus: str = "0", **events: str) -> None:
        """The kernel's power unit with these events, `pkg="event=0x02"`, at 2**-32 J a count."""
        folder = "sys/bus/event_source/devices/power"
        self.put(f"{folder}/type", 9)
        self.put(f"{folder}/cpumask", cpus)
        for name, config in events.items():
            self.put(f"{folder}/events/energy-{name}", config)
            self.put(f"{folder}/events/energy-{name}.scale", "2.3283064365386962890625e-10")


def joules(file: Path, value: float) -> None:
    """Let a counter file in uJ read `value` joules."""
    file.write_text(f"{round(value * MICRO)}\n", encoding="ascii")


def powermetrics(*samples: tuple[float, dict[str, Any]], cut: bytes = b"") -> bytes:
    """The output of powermetrics: (seconds, keys of `processor`) of each sample, and a last one that was cut off."""
    parts = [plistlib.dumps({"elapsed_ns": round(s * 1e9), "processor": watts}) for s, watts in samples]
    return b"\0".join([*parts, cut] if cut else parts)
