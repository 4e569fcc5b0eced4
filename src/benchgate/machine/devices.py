"""Devices: what is missing, how to wait for it, its memory high-water mark, and what it is called."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchgate.core import Registry
from benchgate.machine import gpu
from benchgate.machine.gpu import DeviceTaken
from benchgate.machine.packages import missing_packages


@dataclass(frozen=True)
class Device:
    """One kind of device. `synchronize` is None where calls return when the work is done.

    Args:
        name: As in `@pytest.mark.cells(device=...)`.
        missing: Returns the reason why there is no such device here, or None.
        fingerprint: Returns what decides its figures: another one makes them not comparable.
        synchronize: Waits until all work on the device is done.
        peak_bytes, reset_peak: Its high-water mark of memory, and how to begin a new one.
        total_bytes: Returns the memory that the device has, or may use.
        watch: Begins an interval by the device's own clock.

    Example::

        benchgate.device(benchgate.Device("npu", missing=no_driver, fingerprint=lambda: {"npu": driver_version()}))
    """

    name: str
    missing: Callable[[], str | None]
    fingerprint: Callable[[], dict[str, Any]]
    synchronize: Callable[[], None] | None = None
    peak_bytes: Callable[[], int] | None = None
    reset_peak: Callable[[], None] | None = None
    total_bytes: Callable[[], int] | None = None
    watch: Callable[[], Callable[[], DeviceTaken]] | None = None


def usable_cores() -> int:
    """Cores this process may run on (affinity, not the machine's count)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _torch() -> Any:
    import torch

    return torch


def _psutil() -> Any:
    import psutil

    return psutil


def _missing_cuda() -> str | None:
    hint = missing_packages({"torch": "torch"})
    if hint:
        return hint
    return None if _torch().cuda.is_available() else "no CUDA device (torch.cuda.is_available() is False)"


def _missing_mps() -> str | None:
    hint = missing_packages({"torch": "torch"})
    if hint:
        return hint
    return None if _torch().backends.mps.is_available() else "no Apple GPU (torch.backends.mps.is_available() is False)"


def _cuda_fingerprint() -> dict[str, Any]:
    torch = _torch()
    return {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}


devices: Registry[Device] = Registry("device", ("missing", "fingerprint"), Device)
devices.add(
    Device("cpu", missing=lambda: None, fingerprint=dict, total_bytes=lambda: int(_psutil().virtual_memory().total))
)
devices.add(
    Device(
        "cuda",
        missing=_missing_cuda,
        fingerprint=_cuda_fingerprint,
        total_bytes=lambda: int(_torch().cuda.get_device_properties().total_memory),
        synchronize=lambda: _torch().cuda.synchronize(),
        peak_bytes=lambda: int(_torch().cuda.max_memory_allocated()),
        reset_peak=lambda: _torch().cuda.reset_peak_memory_stats(),
        watch=gpu.watch_cuda,
    )
)
devices.add(
    Device(
        "mps",
        missing=_missing_mps,
        fingerprint=lambda: {"gpu": "apple-mps"},
        total_bytes=lambda: int(_torch().mps.recommended_max_memory()),
        synchronize=lambda: _torch().mps.synchronize(),
        # MPS keeps no high-water mark: what the driver holds after the call is the nearest it tells.
        peak_bytes=lambda: int(_torch().mps.driver_allocated_memory()),
        watch=gpu.watch_mps,
    )
)
