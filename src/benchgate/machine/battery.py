"""The machine's power supply: what a battery gives while it discharges, and whether one feeds the machine at all."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchgate.core import Unavailable
from benchgate.machine.counters import Channel, Sampling, number, text

SUPPLIES = "sys/class/power_supply"
SYSTEM = Path("/")
MICRO = 1e-6
DISCHARGING = "Discharging"
PERIOD_S = 0.5


def batteries(root: Path) -> list[Path]:
    """Return the folders of the batteries that feed the machine; those of mice and pens (scope Device) do not."""
    found = sorted((root / SUPPLIES).glob("*"))
    return [path for path in found if text(path / "type") == "Battery" and text(path / "scope") != "Device"]


def on_battery(root: Path) -> bool | None:
    """Return True while a battery feeds the machine, None where the system tells nothing of its supply."""
    found = batteries(root)
    mains = [text(path / "online") for path in (root / SUPPLIES).glob("*") if text(path / "type") in ("Mains", "USB")]
    if found:
        return "1" not in mains and any(text(path / "status") == DISCHARGING for path in found)
    if mains:
        return False
    return None if sys.platform == "linux" or root != SYSTEM else _told_by_psutil()


def _told_by_psutil() -> bool | None:
    """The answer of systems without /sys."""
    import psutil

    told = psutil.sensors_battery()
    return None if told is None or told.power_plugged is None else not told.power_plugged


def discharge(root: Path) -> Sampling:
    """Return a reader of what the batteries give. Raises Unavailable where none discharges: a charger feeds too."""
    found = batteries(root)
    if not found:
        raise Unavailable("no battery in /sys/class/power_supply")
    giving = [path for path in found if text(path / "status") == DISCHARGING]
    if not giving or not on_battery(root):
        states = ", ".join(f"{path.name} {text(path / 'status') or 'of unknown state'}" for path in found)
        raise Unavailable(f"no battery discharges ({states}): unplug the charger to measure the whole machine by it")
    if not all(_tells(path) for path in giving):
        raise Unavailable("the battery's driver shows neither power_now nor current_now and voltage_now")
    return Sampling([Channel(path.name, partial(watts, path)) for path in giving], PERIOD_S)


def _tells(battery: Path) -> bool:
    return (battery / "power_now").exists() or all(
        (battery / f"{name}_now").exists() for name in ("current", "voltage")
    )


def watts(battery: Path) -> float:
    """Return what a battery gives now. Raises OSError, also for one that no longer discharges, and ValueError.

    Some drivers show a discharge as a negative number.
    """
    if (status := text(battery / "status")) != DISCHARGING:
        raise OSError(f"it is no longer discharging but {status or 'gone'}")
    if (battery / "power_now").exists():
        return abs(number(battery / "power_now", MICRO))
    return abs(number(battery / "current_now", MICRO)) * number(battery / "voltage_now", MICRO)
