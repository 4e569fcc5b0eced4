"""The table of energy sources, best first, and the one that speaks for a cell on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchgate.core import Unavailable
from benchgate.machine import amd, battery, hwmon, nvidia, powermetrics, rapl
from benchgate.machine.counters import Reader, Refused, Source

SYSTEM = Path("/")
CPU, GPU, APPLE = frozenset({"cpu"}), frozenset({"cuda"}), frozenset({"cpu", "mps"})
EVERY = frozenset({"cpu", "cuda", "mps"})
# The narrowest scope first: what else is on a machine is no part of a cell. RAPL is refreshed every ms; NVML's counter
# follows its power reading, which some GPUs renew every 100 ms; batteries are asked by their drivers about once in 2 s.
SOURCES: Sequence[Source] = (
    Source("NVML", "device", GPU, 0.1, nvidia.find, nvidia.look),
    Source("AMD SMI", "device", GPU, 0.1, amd.find, amd.look),
    Source("RAPL (powercap)", "package", CPU, 0.001, rapl.powercap),
    Source("RAPL (perf)", "package", CPU, 0.001, rapl.perf),
    Source("amd_energy (hwmon)", "package", CPU, 0.001, hwmon.amd_sockets),
    Source("powermetrics", "package", APPLE, powermetrics.PERIOD_S, powermetrics.find),
    Source("INA rails (hwmon)", "board", CPU | GPU, hwmon.RAIL_PERIOD_S, hwmon.rails),
    Source("ACPI power meter (hwmon)", "machine", EVERY, 1.0, hwmon.power_meter),
    Source("battery", "machine", EVERY, 2.0, battery.discharge),
)


def readable(
    device: str, root: Path = SYSTEM, sources: Sequence[Source] | None = None, *, look: bool = False
) -> list[tuple[Source, Reader]]:
    """Return the sources that can be read here for cells of a device, best first.

    `sources` None are those of the table. `look` asks without waking up the device. Raises Unavailable where there is
    none, naming the counters that are there and may not be read, with the command that allows it.
    """
    found, refused = [], []
    for source in SOURCES if sources is None else sources:
        if device not in source.devices:
            continue
        try:
            found.append((source, (source.look or source.find)(root) if look else source.find(root)))
        except Refused as reason:
            refused.append(f"{source.name}: {reason}")
        except Unavailable:
            continue
    if not found:
        why = "; ".join(refused) or "`benchgate doctor` says for each source what is missing"
        raise Unavailable(f"no energy counter can be read here: {why}")
    return found


def can_be_read(device: str, root: Path = SYSTEM) -> bool:
    """True where a source can be read for cells of a device."""
    try:
        return bool(readable(device, root, look=True))
    except Unavailable:
        return False


def states(root: Path = SYSTEM) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return (what each source covers that can be read here, why the others cannot), by name."""
    found, missing = {}, {}
    for source in SOURCES:
        try:
            reader = (source.look or source.find)(root)
        except Unavailable as reason:
            missing[source.name] = str(reason)
            continue
        counting = ", ".join(channel.name for channel in reader.channels if channel.counts)
        found[source.name] = f"{source.scope}: {counting}; windows of {source.window_s:g} s"
    return found, missing
