"""Rows of support: what is found, what is refused and why, and who may register what."""

from __future__ import annotations

import pytest

from benchgate.core import BenchgateError, DuplicateName, Scheme, UnknownName, models, runtimes, support, tasks
from benchgate.core.support import ANY, ONE_CALL, CompressorRow, SessionRow

FP32, BF16 = (Scheme(name, 0, "float", {"dtype": dtype}) for name, dtype in (("fp32", "float32"), ("bf16", "bfloat16")))
INT8, INT4 = (Scheme(name, 0, name) for name in ("int8", "int4"))


class Model:
    name, version = "mine", "1"

    def __init__(self, task, **members):
        self.task = task
        vars(self).update(members)

    def build(self):
        return None


class Task:
    unit = "items"

    def __init__(self, name, stepwise=False):
        self.name, self.stepwise = name, stepwise


class Runtime:
    format, needs = "bytes", {}

    def __init__(self, name):
        self.name = name


class Variant(Runtime):
    sessions_of = compressors_of = "plain"


def odd(model, scheme, runtime):
    return f"{runtime} is at odds with {model.name} in {scheme.name}" if scheme.name == "bf16" else None


ROWS = [
    SessionRow("plain", ONE_CALL, "a:One", files=(".bin",)),
    SessionRow("plain", "walk", "a:Walk", refuses="tests.core.test_support:odd"),
    SessionRow("own", "look", "a:Look", builder=""),
    SessionRow("variant", "look", "a:OtherLook"),
]
COMPRESSORS = [
    CompressorRow("plain", "float", "a:float", dtypes=("float32", "bfloat16")),
    CompressorRow("plain", "int8", "a:int8", task=ONE_CALL, calibrated=True),
    CompressorRow("plain", "int8", "a:int8_walk", task="walk"),
    CompressorRow("own", ANY),
    CompressorRow("variant", "int4", "a:int4"),
]
PLAIN, OWN, VARIANT, NONE = Runtime("plain"), Runtime("own"), Variant("variant"), Runtime("none")


@pytest.fixture(autouse=True)
def rows():
    found = [Task("look"), Task("walk", True), Task("run", True)]
    with (
        tasks.extended(*found),
        support.sessions.extended(*ROWS),
        support.compressors.extended(*COMPRESSORS),
    ):
        yield


@pytest.mark.parametrize(
    ("runtime", "model", "scheme", "said"),
    [
        (PLAIN, Model("look"), FP32, None),
        (PLAIN, Model("look"), INT8, "mine has no calibration(), which int8 needs"),
        (PLAIN, Model("look", calibration=list), INT8, None),
        (PLAIN, Model("look"), INT4, "plain has no int4 compression"),
        (PLAIN, Model("walk"), INT8, None),
        (PLAIN, Model("walk"), BF16, "plain is at odds with mine in bf16"),
        (PLAIN, Model("run"), FP32, "run models are run step by step, plain runs one call on its inputs"),
        (PLAIN, Model("nobody's"), FP32, None),
        (OWN, Model("look"), INT4, None),
        (OWN, Model("walk"), FP32, "own runs look models, mine is for walk"),
        (NONE, Model("look"), FP32, "none runs no models, mine is for look"),
        (VARIANT, Model("look"), FP32, None),
        (VARIANT, Model("look"), INT4, None),
        (VARIANT, Model("walk"), BF16, "variant is at odds with mine in bf16"),
        (OWN, Model("look"), Scheme("none", 0, "none", steps=("prune-50",)), "own does not run what build() returns"),
    ],
)
def test_the_absence_of_a_row_is_the_refusal(runtime, model, scheme, said):
    found = support.refusal(model, scheme, runtime)
    assert (found is None) if said is None else found is not None and found.startswith(said)


def test_a_file_is_taken_by_its_suffix_and_else_named():
    file = type("File", (), {"name": "mine", "version": "1", "task": "look"})()
    file.path = "model.bin"
    assert support.refusal(file, FP32, PLAIN) is None
    file.path = "model.doc"
    assert support.refusal(file, FP32, PLAIN) == "mine is model.doc, plain takes torch modules and .bin"
    del file.path
    assert support.refusal(file, FP32, PLAIN) == "mine has no build(), plain takes torch modules and .bin"


def test_the_closest_row_is_found():
    assert support.session_row(Model("look"), VARIANT).session == "a:OtherLook"
    assert support.session_row(Model("walk"), VARIANT).session == "a:Walk"
    assert support.session_row(Model("other"), PLAIN).session == "a:One"
    assert support.compressor_row(Model("walk"), INT8, PLAIN).target == "a:int8_walk"
    assert support.compressor_row(Model("look"), INT8, VARIANT).target == "a:int8"


def test_what_has_no_row_cannot_be_asked_for():
    with pytest.raises(BenchgateError, match="run step by step"):
        support.session_row(Model("run"), PLAIN)
    with pytest.raises(BenchgateError, match="plain has no int4 compression"):
        support.compressor_row(Model("look"), INT4, PLAIN)


def test_a_row_is_registered_once_but_the_same_one_as_often_as_one_likes():
    with support.sessions.extended(), support.compressors.extended():
        first = support.session("plain", "mine", "mine:Session")
        assert support.session("plain", "mine", "mine:Session") == first
        with pytest.raises(DuplicateName, match=r"support plain \+ mine is registered twice: .*mine:Session.*yours:"):
            support.session("plain", "mine", "yours:Session")
        with pytest.raises(DuplicateName, match=r"plain \+ float \+ \*"):
            support.compressor("plain", "float", "yours:float")
    assert support.sessions.get("plain", "mine") is None


@pytest.mark.parametrize("target", ["module", "module:", ":name"])
def test_a_target_has_a_form(target):
    with support.sessions.extended(), pytest.raises(BenchgateError, match="write it as 'module:name'"):
        support.session("plain", "mine", target)


def test_a_target_that_is_not_there_is_named():
    with pytest.raises(BenchgateError, match="module math has no cosinus; correct the row"):
        support.imported("math:cosinus")


def test_registries_are_replaced_for_a_while():
    before = list(models), list(runtimes)
    with models.replaced(Model("look")), runtimes.extended(PLAIN):
        assert list(models) == ["mine"]
        assert runtimes["plain"] is PLAIN
        with pytest.raises(UnknownName, match="unknown model 'some/hub-model'"):
            models["some/hub-model"]
        with runtimes.extended(VARIANT), pytest.raises(ValueError, match="boom"):
            raise ValueError("boom")
        assert "variant" not in runtimes
    assert (list(models), list(runtimes)) == before
