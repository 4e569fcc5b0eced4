"""Stand-ins of the packages pynvml, amdsmi and torch, as modules."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace


class NVMLError(Exception):
    pass


class AmdSmiException(Exception):
    pass


def a_torch(**properties) -> ModuleType:
    """torch whose current device, number 1, has these properties."""
    torch = ModuleType("torch")
    torch.__version__ = "2.13"
    torch.cuda = SimpleNamespace(
        current_device=lambda: 1, get_device_properties=lambda index: {1: SimpleNamespace(**properties)}[index]
    )
    return torch


def an_nvml(millijoules, error: str | None = None) -> ModuleType:
    """pynvml of one GPU, `GPU-1234`, whose counter reads these one after the other, or raises."""
    readings = iter(millijoules)

    def handle(of):
        if of not in (0, "GPU-1234"):
            raise NVMLError("not found")
        return "handle"

    def energy(handle):
        if error:
            raise NVMLError(error)
        return next(readings)

    nvml = ModuleType("pynvml")
    nvml.NVMLError, nvml.nvmlInit = NVMLError, lambda: None
    nvml.nvmlDeviceGetHandleByUUID = nvml.nvmlDeviceGetHandleByIndex = handle
    nvml.nvmlDeviceGetTotalEnergyConsumption = energy
    return nvml


def an_amdsmi(accumulated, resolution: float = 15.3, error: str | None = None) -> ModuleType:
    """amdsmi of two GPUs of which the second, 0000:c3:00.0, has a counter that reads these."""
    readings = iter(accumulated)

    def energy(handle):
        if error:
            raise AmdSmiException(error)
        assert handle == "second"
        return {"energy_accumulator": next(readings), "counter_resolution": resolution, "timestamp": 0}

    smi = ModuleType("amdsmi")
    smi.AmdSmiException, smi.amdsmi_init = AmdSmiException, lambda: None
    smi.amdsmi_get_processor_handles = lambda: ["first", "second"]
    smi.amdsmi_get_gpu_device_bdf = {"first": "0000:03:00.0", "second": "0000:C3:00.0"}.get
    smi.amdsmi_get_energy_count = energy
    return smi
