"""A GPU's own account of an interval: its own time between two events, and whether it was throttled meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

# nvml.h, nvmlClocksEventReasons: what slows a GPU beside its load. Idle and clocks set by the user are not among them.
SLOWED: Mapping[int, str] = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}


@dataclass(frozen=True)
class DeviceTaken:
    """Seconds between the first and the last command of an interval by the device's clock, and what slowed it.

    `slowed` is None where the device does not tell.
    """

    seconds: float
    slowed: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        told = {} if self.slowed is None else {"device_slowed": list(self.slowed)}
        return {"device_s": round(self.seconds, 6), **told}


class _Event(Protocol):
    def record(self) -> Any: ...
    def elapsed_time(self, end: Any) -> float: ...


def between_events(
    event: Callable[[], _Event], synchronize: Callable[[], None], slowed: Callable[[], tuple[str, ...] | None]
) -> Callable[[], DeviceTaken]:
    """Begin an interval; the function that comes back ends it and tells what was taken."""
    first, last = event(), event()
    before = slowed()
    first.record()

    def end() -> DeviceTaken:
        last.record()
        synchronize()
        after = slowed()
        told = None if before is None or after is None else tuple(sorted({*before, *after}))
        # torch's events give milliseconds.
        return DeviceTaken(first.elapsed_time(last) / 1e3, told)

    return end


def watch_cuda() -> Callable[[], DeviceTaken]:
    """Begin an interval on the current CUDA device."""
    import torch

    return between_events(
        lambda: torch.cuda.Event(enable_timing=True), torch.cuda.synchronize, lambda: slowed_by(nvml_reasons())
    )


def watch_mps() -> Callable[[], DeviceTaken]:
    """Begin an interval on the Apple GPU, which does not tell what slows it."""
    import torch

    return between_events(lambda: torch.mps.event.Event(enable_timing=True), torch.mps.synchronize, lambda: None)


def slowed_by(reasons: int | None) -> tuple[str, ...] | None:
    """The names of NVML's reasons that count; None where there is no answer."""
    return None if reasons is None else tuple(name for bit, name in SLOWED.items() if reasons & bit)


def nvml_reasons() -> int | None:
    """NVML's bits of what sets the current clock; None without nvidia-ml-py or where the driver does not tell."""
    try:
        import pynvml

        handle = torch_handle(pynvml)
    except ImportError:
        return None
    try:
        return int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle()))
    except pynvml.NVMLError:
        return None


def torch_handle(pynvml: Any) -> Callable[[], Any]:
    """A function that returns NVML's handle of torch's current device. Raises ImportError without torch."""
    import torch

    def handle() -> Any:
        pynvml.nvmlInit()
        # CUDA numbers the devices that it may see, NVML all of them: they agree by the identifier alone.
        uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
        return pynvml.nvmlDeviceGetHandleByUUID(uuid)

    return handle
