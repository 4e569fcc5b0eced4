"""The energy counter of NVIDIA GPUs, by NVML (package nvidia-ml-py): mJ since the driver was loaded, from Volta on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchgate.core import Unavailable
from benchgate.machine.counters import Channel, Counting
from benchgate.machine.gpu import torch_handle

MILLI = 1e-3


def find(root: Path) -> Counting:
    """Return a reader of the GPU that torch uses. There are no files below `root` to look for."""
    return _reader(torch_handle)


def look(root: Path) -> Counting:
    """Return a reader of the first GPU, without waking up torch's: a context of CUDA takes memory that is weighed."""
    return _reader(_first_handle)


def _first_handle(pynvml: Any) -> Callable[[], Any]:
    def handle() -> Any:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByIndex(0)

    return handle


def _reader(of: Callable[[Any], Callable[[], Any]]) -> Counting:
    try:
        import pynvml

        handle = of(pynvml)
    except ImportError as error:
        raise Unavailable("nvidia-ml-py is not installed; pip install nvidia-ml-py") from error
    try:
        channel = Channel("gpu", partial(joules, pynvml, handle()))
        channel.read()
    except (pynvml.NVMLError, OSError) as error:
        raise Unavailable(f"NVML tells no energy: {error}") from error
    return Counting((channel,))


def joules(pynvml: Any, handle: Any) -> float:
    """Return the joules that a GPU took since its driver was loaded. Raises OSError with what NVML says."""
    try:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * MILLI
    except pynvml.NVMLError as error:
        raise OSError(str(error)) from error
