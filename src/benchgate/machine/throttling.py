"""The state of the processor before and after an interval: clock, temperature, throttle events, what feeds it."""

from __future__ import annotations

import functools
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchgate.machine import hwmon
from benchgate.machine.battery import on_battery
from benchgate.machine.counters import number, text

SYSTEM = Path("/")
CPUS = "sys/devices/system/cpu"
COUNTERS = ("core_throttle_count", "package_throttle_count")
# Drivers of processors' own thermometers; a disk or a network card is hot for reasons of its own.
THERMOMETERS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
ZONES = re.compile(r"x86_pkg_temp|cpu|soc|tcpu", re.IGNORECASE)
KILO, MILLI = 1e-3, 1e-3
ON_BATTERY = "the machine ran on its battery, which lets it be slower"


@dataclass(frozen=True)
class Conditions:
    """One look: mean clock of the CPUs (MHz), hottest thermometer (degrees C), throttle events since the start of the
    machine, True on battery. None where the system does not tell."""

    mhz: float | None = None
    celsius: float | None = None
    throttle_events: int | None = None
    on_battery: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what is told."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def read(root: Path = SYSTEM) -> Conditions:
    """Return the conditions now. Nothing is raised: a file that cannot be read is not told."""
    files = _files(root)
    clocks = _numbers(files.clocks, KILO) or _told_by_cpuinfo(root / "proc/cpuinfo")
    degrees = _numbers(files.thermometers, MILLI)
    events = _numbers(files.throttle_counters, 1)
    return Conditions(
        mhz=round(statistics.fmean(clocks), 1) if clocks else None,
        celsius=max(degrees) if degrees else None,
        throttle_events=int(sum(events)) if len(events) == len(files.throttle_counters) > 0 else None,
        on_battery=on_battery(root),
    )


def reasons(before: Conditions, after: Conditions) -> tuple[str, ...]:
    """Return the reasons why an interval between two looks cannot be trusted, () for none."""
    found = []
    if before.throttle_events is not None and after.throttle_events is not None:
        risen = after.throttle_events - before.throttle_events
        if risen > 0:
            found.append(f"the processor was throttled for its heat (thermal_throttle counters rose by {risen})")
    if before.on_battery or after.on_battery:
        found.append(ON_BATTERY)
    return tuple(found)


def as_details(before: Conditions, after: Conditions) -> dict[str, Any]:
    """Return what a record keeps of two looks; nothing where the system tells nothing."""
    told = {"conditions_before": before.as_dict(), "conditions_after": after.as_dict()}
    return {name: value for name, value in told.items() if value}


def worth_again(reasons: Iterable[str]) -> bool:
    """False where a reason is there that waiting a moment does not mend."""
    return ON_BATTERY not in reasons


@dataclass(frozen=True)
class _Files:
    clocks: tuple[Path, ...]
    thermometers: tuple[Path, ...]
    throttle_counters: tuple[Path, ...]


@functools.cache
def _files(root: Path) -> _Files:
    """The files that tell, looked for once: there may be hundreds."""
    cpus = root / CPUS
    chips = [path for chip in hwmon.chips(root, *THERMOMETERS) for path in sorted(chip.glob("temp*_input"))]
    zones = [
        zone for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")) if ZONES.search(text(zone / "type"))
    ]
    return _Files(
        tuple(sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))),
        (*chips, *(zone / "temp" for zone in zones)),
        tuple(path for name in COUNTERS for path in sorted(cpus.glob(f"cpu[0-9]*/thermal_throttle/{name}"))),
    )


def _numbers(paths: Sequence[Path], unit: float) -> list[float]:
    found = []
    for path in paths:
        try:
            found.append(number(path, unit))
        except (OSError, ValueError):
            # A CPU that was taken offline, a thermometer that sleeps.
            continue
    return found


def _told_by_cpuinfo(path: Path) -> list[float]:
    """MHz by /proc/cpuinfo: in a virtual machine that has no cpufreq, the nominal clock."""
    return [float(told) for told in re.findall(r"^cpu MHz\s*:\s*([0-9.]+)$", text(path), re.MULTILINE)]
