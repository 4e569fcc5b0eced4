"""RAPL, the energy counters of x86 processors, by the two ways in which Linux shows them: powercap and perf.

A processor package has the subdomains core and uncore, which are parts of it, and dram, which is not: the sum is
package and dram. psys, where there is one, is the whole platform with the packages in it. Sources: Documentation/power/
powercap/powercap.rst and arch/x86/events/rapl.c of Linux, Intel SDM 3B 16.10.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchgate.core import Unavailable
from benchgate.machine import perf_events
from benchgate.machine.counters import Channel, Counting, Refused, number, text

POWERCAP = "sys/class/powercap"
PERF = "sys/bus/event_source/devices/power"
MICRO = 1e-6
# Names of powercap zones, and of perf events, that add to the packages, and those that are parts of them.
PACKAGE, ADDED = "package", ("dram",)
PERF_COUNTS = {"energy-pkg": True, "energy-ram": True, "energy-cores": False, "energy-gpu": False, "energy-psys": False}
ALLOW = (
    "allow it with `sudo chmod a+r /sys/class/powercap/*/energy_uj` (until the next start; a udev rule keeps it: "
    "docs/energy.md)"
)
NO_POWERCAP = (
    "no RAPL zone in /sys/class/powercap; try `sudo modprobe intel_rapl_msr`; Docker hides it from a container without "
    "`--security-opt systempaths=unconfined`; most virtual machines have none"
)


def powercap(root: Path) -> Counting:
    """Return a reader of all packages below /sys/class/powercap, their dram, and psys and the other parts apart."""
    # Not intel-rapl-mmio:*, which are the same packages a second time.
    zones = sorted((root / POWERCAP).glob("*-rapl:*"))
    channels = [channel for zone in zones if (channel := _zone(zone, root)) is not None]
    if not any(channel.counts for channel in channels):
        raise Unavailable(NO_POWERCAP)
    for channel in channels:
        try:
            channel.read()
        except PermissionError as error:
            raise Refused(f"{channel.name} may not be read: {ALLOW}") from error
        except (OSError, ValueError) as error:
            raise Unavailable(f"{channel.name} cannot be read: {error}") from error
    return Counting([channel for channel in channels if not _has_never_counted(channel)])


def _zone(zone: Path, root: Path) -> Channel | None:
    """The channel of one zone: `intel-rapl:0` is a package or psys, `intel-rapl:0:2` one of its subdomains."""
    control, _, number_of = zone.name.partition(":")
    name, within = text(zone / "name"), number_of.partition(":")[0]
    if not name:
        return None
    if ":" in number_of:
        above = text(root / POWERCAP / f"{control}:{within}" / "name") or f"package-{within}"
        name, counts = f"{above} {name}", name in ADDED and above.startswith(PACKAGE)
    else:
        counts = name.startswith(PACKAGE)
    try:
        turns_at = number(zone / "max_energy_range_uj", MICRO)
    except (OSError, ValueError):
        turns_at = None
    return Channel(name, partial(number, zone / "energy_uj", MICRO), counts, turns_at)


def _has_never_counted(channel: Channel) -> bool:
    """True for a subdomain at exactly 0 J since the machine started: this processor lists it and does not count it."""
    return " " in channel.name and channel.read() == 0


def perf(root: Path, open_event: Callable[[int, int, int], Callable[[], int]] = perf_events.open_event) -> Counting:
    """Return a reader of the events of the kernel's `power` unit, one CPU a package; the kernel widens them to 64 bits.

    `open_event(type, config, cpu)` returns a function that reads the event's count.
    """
    folder = root / PERF
    files = {name: folder / "events" / name for name in PERF_COUNTS}
    found = {name: path for name, path in files.items() if path.exists()}
    if "energy-pkg" not in found:
        raise Unavailable("no energy events in /sys/bus/event_source/devices/power; try `sudo modprobe rapl`")
    try:
        kind, cpus = int(text(folder / "type")), _cpus(text(folder / "cpumask"))
        rows = [
            (name, _config(text(path)), float(text(folder / "events" / f"{name}.scale")))
            for name, path in found.items()
        ]
    except ValueError as error:
        raise Unavailable(f"/{PERF} says what is no number: {error}") from error
    channels = []
    for name, config, scale in rows:
        for package, cpu in enumerate(cpus):
            try:
                count = open_event(kind, config, cpu)
            except PermissionError as error:
                raise Refused(
                    f"{name} may not be read: allow it with `sudo sysctl kernel.perf_event_paranoid=0`, or CAP_PERFMON"
                ) from error
            except OSError as error:
                raise Unavailable(f"{name} cannot be opened on CPU {cpu}: {error.strerror or error}") from error
            channels.append(Channel(f"{name} {package}", partial(_scaled, count, scale), PERF_COUNTS[name]))
    return Counting(channels)


def _scaled(count: Callable[[], int], scale: float) -> float:
    return count() * scale


def _config(event: str) -> int:
    """The number in `event=0x02`. Raises ValueError."""
    return int(event.removeprefix("event="), 0)


def _cpus(mask: str) -> list[int]:
    """The CPUs of a list like `0,18` or `0-1`. Raises ValueError."""
    parts = [part.partition("-") for part in mask.split(",")]
    return [cpu for first, _, last in parts for cpu in range(int(first), int(last or first) + 1)]
