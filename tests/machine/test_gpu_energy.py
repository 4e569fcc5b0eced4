"""The energy counters of NVIDIA's and AMD's GPUs, on stand-ins of their packages: no device was at hand."""

from __future__ import annotations

import sys

import pytest

from benchgate.core import Unavailable
from benchgate.machine import amd, nvidia
from tests.machine.gpu_fakes import a_torch, an_amdsmi, an_nvml

AMD_PLACE = {"pci_domain_id": 0, "pci_bus_id": 0xC3, "pci_device_id": 0}


@pytest.fixture
def having(monkeypatch):
    def put(**modules):
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)

    return put


def test_nvml_counts_mj_of_the_device_that_torch_uses(having, tmp_path):
    having(pynvml=an_nvml([1000, 5000, 7250]), torch=a_torch(uuid="1234"))
    assert nvidia.find(tmp_path).begin()() == pytest.approx({"gpu": 2.25})


def test_to_look_for_nvml_wakes_no_torch(having, tmp_path):
    having(pynvml=an_nvml([1000]), torch=None)
    assert [channel.name for channel in nvidia.look(tmp_path).channels] == ["gpu"]


@pytest.mark.parametrize(
    ("nvml", "said"),
    [
        (an_nvml([1000, 5000, 5000]), "gpu read 5 J before and after .* it does not count"),
        (an_nvml([1000, 5000, 4000]), "gpu went backwards"),
    ],
    ids=["constant", "backwards"],
)
def test_a_fault_of_nvml_is_the_reason(having, tmp_path, nvml, said):
    having(pynvml=nvml, torch=a_torch(uuid="1234"))
    with pytest.raises(Unavailable, match=said):
        nvidia.find(tmp_path).begin()()


def test_a_gpu_that_falls_off_the_bus_is_the_reason(having, tmp_path, monkeypatch):
    nvml = an_nvml([1000, 5000])
    having(pynvml=nvml, torch=a_torch(uuid="1234"))
    end = nvidia.find(tmp_path).begin()
    monkeypatch.setattr(
        nvml, "nvmlDeviceGetTotalEnergyConsumption", an_nvml([], "GPU is lost").nvmlDeviceGetTotalEnergyConsumption
    )
    with pytest.raises(Unavailable, match="gpu can no longer be read: GPU is lost"):
        end()


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({"pynvml": None}, "pip install nvidia-ml-py"),
        (
            {"pynvml": an_nvml([], "Not Supported"), "torch": a_torch(uuid="1234")},
            "NVML tells no energy: Not Supported",
        ),
        ({"pynvml": an_nvml([1]), "torch": a_torch(uuid="9")}, "NVML tells no energy: not found"),
    ],
)
def test_what_nvml_cannot_tell_has_its_reason(having, tmp_path, modules, said):
    having(**modules)
    with pytest.raises(Unavailable, match=said):
        nvidia.find(tmp_path)


def test_amd_smi_counts_in_its_own_unit_on_the_device_that_torch_uses(having, tmp_path):
    having(amdsmi=an_amdsmi([10**6, 10**6, 3 * 10**6]), torch=a_torch(**AMD_PLACE))
    assert amd.find(tmp_path).begin()() == pytest.approx({"gpu": 30.6})


def test_amd_smi_at_fault(having, tmp_path):
    having(amdsmi=an_amdsmi([5, 5, 5]), torch=a_torch(**AMD_PLACE))
    with pytest.raises(Unavailable, match="it does not count"):
        amd.find(tmp_path).begin()()


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({"amdsmi": None}, "amdsmi cannot be imported: it comes with ROCm"),
        ({"amdsmi": an_amdsmi([], error="not supported"), "torch": a_torch(**AMD_PLACE)}, "no energy of this GPU: not"),
        ({"amdsmi": an_amdsmi([1]), "torch": a_torch(**{**AMD_PLACE, "pci_bus_id": 1})}, "lists no such GPU"),
        ({"amdsmi": an_amdsmi([1]), "torch": a_torch()}, "torch 2.13 does not tell which GPU it uses"),
    ],
)
def test_what_amd_smi_cannot_tell_has_its_reason(having, tmp_path, modules, said):
    having(**modules)
    with pytest.raises(Unavailable, match=said):
        amd.find(tmp_path)
