"""The energy counter of AMD GPUs, by AMD's own package `amdsmi` (it comes with ROCm)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchgate.core import Unavailable
from benchgate.machine.counters import Channel, Counting

MICRO = 1e-6


def torch_address() -> str:
    """Return the PCI address of torch's current device, as amdsmi writes it: `0000:c3:00`. Raises Unavailable."""
    import torch

    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    try:
        return f"{device.pci_domain_id:04x}:{device.pci_bus_id:02x}:{device.pci_device_id:02x}"
    except AttributeError as error:
        raise Unavailable(f"torch {torch.__version__} does not tell which GPU it uses; take a newer one") from error


def find(root: Path, address: Callable[[], str] | None = torch_address) -> Counting:
    """Return a reader of the GPU that torch uses, or of the first one where `address` is None. There are no files."""
    try:
        import amdsmi
    except (ImportError, OSError, KeyError) as error:
        # Without ROCm's library the package raises KeyError when it is imported.
        raise Unavailable("amdsmi cannot be imported: it comes with ROCm, `pip install amdsmi`") from error
    try:
        amdsmi.amdsmi_init()
        handles = amdsmi.amdsmi_get_processor_handles()
        if address is not None:
            wanted = address()
            handles = [one for one in handles if amdsmi.amdsmi_get_gpu_device_bdf(one).lower().startswith(wanted)]
    except amdsmi.AmdSmiException as error:
        raise Unavailable(f"AMD SMI: {error}") from error
    if not handles:
        raise Unavailable("AMD SMI lists no such GPU")
    channel = Channel("gpu", partial(joules, amdsmi, handles[0]))
    try:
        channel.read()
    except OSError as error:
        raise Unavailable(f"AMD SMI tells no energy of this GPU: {error}") from error
    return Counting((channel,))


def look(root: Path) -> Counting:
    """Return a reader of the first GPU, without waking up torch's."""
    return find(root, address=None)


def joules(amdsmi: Any, handle: Any) -> float:
    """Return the joules that a GPU took so far. Raises OSError with what AMD SMI says."""
    try:
        told = amdsmi.amdsmi_get_energy_count(handle)
    except amdsmi.AmdSmiException as error:
        raise OSError(str(error)) from error
    # The resolution is in uJ: 15.3 on MI200.
    return float(told["energy_accumulator"]) * float(told["counter_resolution"]) * MICRO
