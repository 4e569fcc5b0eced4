"""The machine: the fingerprint that decides whether two times may be compared, and how noisy it is now."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchgate.machine import spinning
from benchgate.machine.devices import devices, usable_cores


@functools.cache
def fingerprint(device: str) -> Mapping[str, Any]:
    """Return what must be equal before times, memory and energy are compared; flat, JSON-ready. Cached per process."""
    return {
        "system": platform.system(),
        "arch": platform.machine(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        # Threads that spin while they wait are several times slower beside a busy neighbour.
        **spinning.in_force(),
        **devices[device].fingerprint(),
    }


@functools.cache
def cpu_model() -> str:
    """The processor's name as the system tells it, e.g. `Intel(R) Xeon(R) Processor`, with model and stepping."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    fields = {name.strip(): value.strip() for name, value in reversed(pairs)}
    name = fields.get("model name", platform.processor())
    return f"{name} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


def _memory_gib() -> int:
    import psutil

    total: int = psutil.virtual_memory().total
    return round(total / 2**30)


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """`cores 2 -> 8` for each part that differs, theirs first: baseline -> now."""
    keys = sorted(set(ours) | set(theirs))
    return [f"{k} {theirs.get(k)} -> {ours.get(k)}" for k in keys if ours.get(k) != theirs.get(k)]


def noise() -> dict[str, str]:
    """Causes of noise on this machine: load, clock governor, turbo, virtualization. For `doctor`."""
    found = {"load": _load()}
    cpufreq = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if cpufreq.exists():
        governor = cpufreq.read_text(encoding="utf-8").strip()
        advice = "" if governor == "performance" else " (noisy: set it to 'performance' with cpupower)"
        found["governor"] = governor + advice
    else:
        found["governor"] = "not readable: the clock may change under the measurement"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and "hypervisor" in cpuinfo.read_text(encoding="utf-8"):
        found["virtual machine"] = "yes (noisy: neighbours can take time away from it)"
    return found


def _load() -> str:
    try:
        one, five, _ = os.getloadavg()
    except (AttributeError, OSError):
        return "not readable"
    advice = " (noisy: other programs are running)" if one > 0.5 * usable_cores() else ""
    return f"{one:.1f} over 1 min, {five:.1f} over 5 min, {usable_cores()} cores{advice}"
