"""Power and energy in hwmon: rails of a board (INA chips, Jetson), an ACPI power meter, AMD's socket energy.

A chip is known by its driver's name; one that is not in the tables here is not read, because a fan controller or a
battery also has a `power1_input`. Units: Documentation/hwmon/sysfs-interface.rst of Linux (uW, uJ, mV, mA).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchgate.core import Unavailable
from benchgate.machine.counters import Channel, Counting, Reader, Refused, Sampling, now, number, text

HWMON = "sys/class/hwmon"
MICRO, MILLI = 1e-6, 1e-3
RAIL_CHIPS = ("ina219", "ina220", "ina226", "ina230", "ina231", "ina233", "ina237", "ina238", "ina260", "ina3221")
# Rails that feed the whole board, as Jetson boards label them. All others are then parts.
WHOLE_BOARD = ("VDD_IN", "POM_5V_IN")
# The names of the rails to add up, for boards that have no such rail.
CHOSEN_RAILS = "BENCHGATE_ENERGY_RAILS"
RAIL_PERIOD_S = 0.1
# An ina3221 has three rails; its further channels are sums and voltages of shunts.
INA3221_RAILS = 3


def chips(root: Path, *names: str) -> list[Path]:
    """Return the folders of the chips whose driver has one of these names."""
    folders = sorted((root / HWMON).glob("hwmon*"), key=lambda path: (len(path.name), path.name))
    return [folder for folder in folders if text(folder / "name") in names]


def rails(root: Path, environment: Mapping[str, str] = os.environ) -> Reader:
    """Return a reader of a board's rails. Raises Unavailable where it cannot be told which of several feed others."""
    found = [channel for chip in chips(root, *RAIL_CHIPS) for channel in _rails(chip)]
    if not found:
        raise Unavailable("no rail of an INA chip in /sys/class/hwmon")
    names = [channel.name for channel in found]
    chosen = [name.strip() for name in environment.get(CHOSEN_RAILS, "").split(",") if name.strip()]
    if unknown := sorted(set(chosen) - set(names)):
        raise Refused(f"{CHOSEN_RAILS}={','.join(chosen)}: no rail {unknown[0]!r}; there are {', '.join(names)}")
    adding = chosen or [name for name in names if name in WHOLE_BOARD] or (names if len(names) == 1 else [])
    if not adding:
        raise Refused(
            f"rails {', '.join(names)}: which of them feed others is not known; name those to add up, for example "
            f"`export {CHOSEN_RAILS}={names[0]}`"
        )
    channels = [Channel(channel.name, channel.read, channel.name in adding) for channel in found]
    _readable(channels)
    return Sampling(channels, RAIL_PERIOD_S)


def _rails(chip: Path) -> list[Channel]:
    """The rails of one chip: by its power where it tells it, else by voltage times current."""
    told = [int(match[1]) for path in chip.glob("power*_input") if (match := re.match(r"power(\d+)_", path.name))]
    if told:
        label = text(chip / "power1_label") or text(chip / "in1_label")
        return [
            Channel(
                label if label and len(told) == 1 else f"{chip.name} power{n}",
                partial(number, chip / f"power{n}_input", MICRO),
            )
            for n in sorted(told)
        ]
    numbers = [n for n in range(1, INA3221_RAILS + 1) if (chip / f"curr{n}_input").exists()]
    named = [(text(chip / f"in{n}_label") or f"{chip.name} rail{n}", n) for n in numbers]
    return [
        Channel(label, partial(_volts_times_amperes, chip / f"in{n}_input", chip / f"curr{n}_input"))
        for label, n in named
        if label != "NC"
    ]


def _volts_times_amperes(millivolts: Path, milliamperes: Path) -> float:
    return number(millivolts, MILLI) * number(milliamperes, MILLI)


def power_meter(root: Path) -> Reader:
    """Return a reader of the machine's ACPI power meters, which show an average."""
    files = [chip / "power1_average" for chip in chips(root, "power_meter")]
    channels = [Channel(f"{path.parent.name} power1", partial(number, path, MICRO)) for path in files if path.exists()]
    if not channels:
        raise Unavailable(
            "no ACPI power meter in /sys/class/hwmon; servers have one after `sudo modprobe acpi_power_meter`"
        )
    _readable(channels)
    return Sampling(channels, RAIL_PERIOD_S)


def amd_sockets(root: Path) -> Reader:
    """Return a reader of the amd_energy driver: a counter a socket. Those of its cores are parts and are not read."""
    channels = [
        Channel(label, partial(number, path, MICRO))
        for chip in chips(root, "amd_energy")
        for path in sorted(chip.glob("energy*_input"))
        if (label := text(path.with_name(path.name.replace("_input", "_label")))).startswith("Esocket")
    ]
    if not channels:
        raise Unavailable("no amd_energy chip in /sys/class/hwmon; on EPYC try `sudo modprobe amd_energy`")
    _readable(channels)
    return Counting(channels)


def _readable(channels: list[Channel]) -> None:
    """Raises Refused for a file that may not be read, Unavailable for one that says what cannot be."""
    for channel in channels:
        try:
            channel.read()
        except PermissionError as error:
            raise Refused(
                f"{channel.name} may not be read: allow it with `sudo chmod a+r /sys/class/hwmon/*/energy*_input "
                "/sys/class/hwmon/*/power*`"
            ) from error
        except (OSError, ValueError):
            now(channel)
