"""From marks to cells."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from benchgate.core import BenchgateError, Cell, Scheme, UnknownName, models, runtimes, schemes, support
from benchgate.machine.devices import Device, devices
from benchgate.measuring.matrix import LeftOut, expand
from benchgate.pytest_plugin import matrix
from benchgate.pytest_plugin.matrix import MarkError


class Model:
    version = "1"

    def __init__(self, name, task):
        self.name, self.task = name, task


class Runtime:
    """Missing on "slow"; refuses int8 of "ham" by its rows."""

    format = "none"

    def __init__(self, name, needs=()):
        self.name, self.needs = name, dict(needs)

    def missing(self, device):
        return f"{self.name} has no kernels for {device}" if device == "slow" else None


class Training(Runtime):
    task = "training"


def no_int8_ham(model, scheme, runtime):
    return "ham cannot be int8" if (model.name, scheme.name) == ("ham", "int8") else None


NAMES = ("plain", "extra", "train")
ROWS = [
    support.SessionRow(name, task, "no:matter", builder="", refuses="tests.pytest_plugin.test_matrix:no_int8_ham")
    for name in NAMES
    for task in ("text", "vision")
]
ABSENT = {"no_such_package_of_ours": "spam", "pytest": "dev"}


@pytest.fixture(autouse=True)
def registered():
    """Two tasks, three models, two schemes, two runtimes, three devices, and nothing else."""
    there = {
        models: [Model("spam", "text"), Model("ham", "text"), Model("cam", "vision")],
        schemes: [Scheme("fp32", 32, "float"), Scheme("int8", 8, "int8")],
        runtimes: [Runtime("plain"), Runtime("extra", ABSENT)],
        devices: [
            Device("cpu", lambda: None, dict),
            Device("slow", lambda: None, dict),
            Device("tpu", lambda: "no TPU here", dict),
        ],
    }
    with ExitStack() as stack:
        for registry, items in there.items():
            stack.enter_context(registry.replaced(*items))
        stack.enter_context(support.sessions.extended(*ROWS))
        stack.enter_context(support.compressors.extended(*(support.CompressorRow(name, support.ANY) for name in NAMES)))
        yield


def test_a_runtime_with_a_task_of_its_own_takes_models_of_any_task():
    axes = {"model": ["spam"], "scheme": ["fp32"], "runtime": ["train"], "device": ["cpu"]}
    with runtimes.extended(Training("train")):
        assert [c.model for c in expand(axes, {"model": ["cam", "ham"]}).cells] == ["cam", "ham"]
    axes["runtime"] = ["plain"]
    assert [c.model for c in expand(axes, {"model": ["cam", "ham"]}).cells] == ["ham"]


def test_a_mark_may_give_names_or_lists_and_has_defaults():
    assert matrix.parse_mark((), {"model": "spam", "runtime": ["plain", "extra"]}) == {
        "model": ("spam",),
        "scheme": ("fp32",),
        "runtime": ("plain", "extra"),
        "device": ("cpu",),
    }


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (("spam",), {}, r"keyword arguments only, got \('spam',\)"),
        ((), {"models": "spam"}, "no argument 'models'; allowed: model, scheme, runtime, device, tolerance"),
        ((), {"runtime": "plain"}, "needs model= .* got None"),
        ((), {"model": "spam"}, "needs runtime= .* got None"),
        ((), {"model": [], "runtime": "plain"}, r"needs model= .* got \[\]"),
        ((), {"model": 3, "runtime": "plain"}, "needs model= .* got 3"),
        ((), {"model": ["spam", 3], "runtime": "plain"}, r"needs model= .* got \['spam', 3\]"),
        ((), {"model": "spam", "runtime": "plain", "device": None}, "needs device= .* got None"),
    ],
)
def test_a_wrong_mark_is_refused_with_one_that_is_right(args, kwargs, said):
    with pytest.raises(MarkError, match=said) as caught:
        matrix.parse_mark(args, kwargs)
    assert '@pytest.mark.cells(model="name"' in str(caught.value)


AXES = {"model": ("spam", "ham"), "scheme": ("fp32", "int8"), "runtime": ("plain",), "device": ("cpu",)}


def test_the_product_less_what_the_runtime_refuses():
    found = expand(AXES, {})
    assert [str(cell) for cell in found.cells] == ["spam-fp32-plain-cpu", "spam-int8-plain-cpu", "ham-fp32-plain-cpu"]
    assert found.left_out == (LeftOut(Cell("ham", "int8", "plain", "cpu"), "ham cannot be int8"),)


@pytest.mark.parametrize(
    ("overrides", "cells"),
    [
        ({"scheme": ["int8"]}, ["spam-int8-plain-cpu"]),
        ({"model": ["ham"]}, ["ham-fp32-plain-cpu"]),
        ({"model": ["ham", "cam"]}, ["ham-fp32-plain-cpu"]),
        ({"model": ["cam"]}, []),
        (
            {"scheme": ["fp32"], "device": ["cpu", "slow"], "model": ["spam"]},
            ["spam-fp32-plain-cpu", "spam-fp32-plain-slow"],
        ),
        ({"scheme": ["fp32"], "runtime": [], "model": ["spam"]}, ["spam-fp32-plain-cpu"]),
    ],
)
def test_the_command_line_replaces_an_axis_but_not_the_task(overrides, cells):
    assert [str(cell) for cell in expand(AXES, overrides).cells] == cells


@pytest.mark.parametrize(
    ("axis", "name", "said"),
    [
        ("model", "spaam", "unknown model 'spaam'; did you mean 'spam'"),
        ("scheme", "int4", "unknown scheme 'int4'; did you mean 'int8'"),
        ("runtime", "plane", "unknown runtime 'plane'; did you mean 'plain'"),
        ("device", "gpu", "unknown device 'gpu'; .*known: cpu, slow, tpu"),
    ],
)
def test_an_unknown_name_is_refused_wherever_it_stands(axis, name, said):
    with pytest.raises(UnknownName, match=said):
        expand({**AXES, axis: (name,)}, {})
    with pytest.raises(UnknownName, match=said):
        expand(AXES, {axis: [name]})
    with pytest.raises(UnknownName, match=said):
        matrix.check_names(axis, [name])


def test_known_names_pass():
    for axis, names in AXES.items():
        matrix.check_names(axis, names)


@pytest.mark.parametrize(
    ("runtime", "device", "reason"),
    [
        ("plain", "cpu", None),
        ("plain", "tpu", "no TPU here"),
        ("plain", "slow", "plain has no kernels for slow"),
        ("extra", "cpu", "no_such_package_of_ours is not installed; pip install 'benchgate[spam]'"),
        # The package first: without it nobody could tell about the device.
        ("extra", "tpu", "no_such_package_of_ours is not installed; pip install 'benchgate[spam]'"),
    ],
)
def test_what_is_missing_has_a_reason_and_the_command(runtime, device, reason):
    assert matrix.missing(Cell("spam", "fp32", runtime, device)) == reason


@pytest.mark.parametrize(
    ("needs", "needed"),
    [
        ([], False),
        (["extra"], True),
        (["cpu"], True),
        (["spam"], True),
        (["no_such_package_of_ours"], True),
        # A package that is there is not what is missing.
        (["pytest"], False),
        (["plain", "tpu"], False),
        (["plain", "cpu"], True),
    ],
)
def test_need_names_a_runtime_a_device_an_extra_or_a_package(needs, needed):
    assert matrix.is_needed(runtimes["extra"], "cpu", needs) is needed


class Mark:
    def __init__(self, **kwargs):
        self.kwargs = kwargs


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], {}),
        ([Mark(model="spam")], {}),
        ([Mark(tolerance={"top1": 0.1}), Mark(tolerance={"top1": 0.5, "top5": 0.5})], {"top1": 0.1, "top5": 0.5}),
    ],
)
def test_the_closest_marks_tolerance_wins(marks, expected):
    assert matrix.tolerance_of(marks) == expected


@pytest.mark.parametrize(("tolerance", "said"), [({"topp1": 0.1}, "did you mean 'top1'"), (0.1, "must be a table")])
def test_a_wrong_tolerance_in_a_mark_is_refused(tolerance, said):
    with pytest.raises(BenchgateError, match=said):
        matrix.tolerance_of([Mark(tolerance=tolerance)])
