"""The public surface: every name is there, documented, and lazy where it costs something."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import benchgate
from benchgate.machine.devices import Device, devices
from benchgate.measuring.meters import meters

# What must say how it is used: classes and functions that a suite calls itself.
DOCUMENTED = [
    "Device", "GGUFFile", "HubModel", "PlainSession", "Row", "SimpleRuntime", "metric", "metric_row", "model",
]  # fmt: skip


@pytest.mark.parametrize("name", benchgate.__all__)
def test_every_public_name_is_there(name):
    assert getattr(benchgate, name) is not None
    assert name in dir(benchgate)


def test_every_lazy_name_is_public():
    assert set(benchgate.LAZY) <= set(benchgate.__all__)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_public_name_is_documented_with_its_arguments_and_an_example(name):
    text = inspect.getdoc(getattr(benchgate, name)) or ""
    assert "Args:" in text
    assert "Example::" in text


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="module 'benchgate' has no attribute 'spam'"):
        benchgate.spam  # noqa: B018


def test_the_lazy_names_are_not_imported_with_benchgate():
    code = "import benchgate, json, sys; print(json.dumps([m for m in sys.modules if m.startswith('benchgate.')]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = json.loads(ran.stdout)
    assert loaded
    assert [name for name in loaded if not name.startswith("benchgate.core")] == []


def test_a_class_may_be_a_device():
    class Npu:
        name = "npu-of-mine"

        def missing(self):
            return "no NPU here"

        def fingerprint(self):
            return {"npu": "none"}

    with devices.extended():
        assert benchgate.device(Npu) is Npu
        known = devices["npu-of-mine"]
    assert isinstance(known, Device)
    assert (known.missing(), known.fingerprint(), known.synchronize) == ("no NPU here", {"npu": "none"}, None)


def test_a_class_and_an_object_may_be_a_meter():
    class Flips:
        name, optional, gives = "flips-of-mine", True, ("flips",)

    with meters.extended():
        assert benchgate.meter(Flips) is Flips
        benchgate.meter(Flips())
        assert "flips-of-mine" in meters
