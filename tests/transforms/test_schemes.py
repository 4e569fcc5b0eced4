"""Names of schemes put together from steps, and what is refused of them."""

from __future__ import annotations

import pickle

import pytest

import benchgate.schemes
import benchgate.transforms.prune  # noqa: F401  registers it
from benchgate.core import BenchgateError, Scheme, UnknownName, schemes, transforms
from benchgate.core.transformed import Transformed, for_build, for_load


class Doubled:
    """A transform of numbers, for models that are numbers."""

    name = "doubled"

    def apply(self, module, amount):
        return module.times(2 if amount is None else amount)


class Reshaped(Doubled):
    name, reshapes = "reshaped", True


class Number:
    def __init__(self, value=1):
        self.value = value

    def eval(self):
        return self

    def times(self, by):
        return Number(self.value * by)


class Model:
    name, version, task, path, architecture = "number", "3", "spam", "somewhere.onnx", "arabic"

    def build(self):
        return Number()

    def build_roman(self):
        return "I"

    def structure(self):
        return Number(0)

    def helper(self):
        return "mine"


@pytest.fixture(autouse=True)
def registered():
    with transforms.extended(Doubled(), Reshaped()):
        yield


@pytest.mark.parametrize(
    ("name", "bits", "method", "steps"),
    [
        ("prune-50", 32, "float", ("prune-50",)),
        ("prune-12.5", 32, "float", ("prune-12.5",)),
        ("prune-50+fp32", 32, "float", ("prune-50",)),
        ("prune-50+bf16", 16, "float", ("prune-50",)),
        ("prune-50+int8-dynamic", 8, "int8-dynamic", ("prune-50",)),
        ("doubled+prune-90+int4-weight-only", 4, "int4-weight-only", ("doubled", "prune-90")),
    ],
)
def test_a_name_of_steps_is_a_scheme(name, bits, method, steps):
    found = schemes[name]
    assert (found.name, found.bits, found.method, found.steps) == (name, bits, method, steps)
    assert found == schemes[name]
    assert found.as_dict()["steps"] == list(steps)


def test_a_scheme_without_steps_is_described_as_ever():
    assert schemes["fp32"].as_dict() == {"name": "fp32", "bits": 32, "method": "float", "options": {"dtype": "float32"}}


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("prune-50+int8-dynmic", UnknownName, "step 'int8-dynmic'; did you mean 'int8-dynamic'"),
        ("prun-50+int8-dynamic", UnknownName, "step 'prun-50'"),
        ("int8-dynamic+prune-50", BenchgateError, "int8-dynamic is no transform; .* comes last, once"),
        ("bf16+int8-dynamic", BenchgateError, "bf16 is no transform"),
        ("prune", BenchgateError, "prune: a percentage between 0 and 100 is needed; write for example prune-50"),
        ("prune-0", BenchgateError, "prune-0: a percentage"),
        ("prune-100+bf16", BenchgateError, "prune-100: a percentage"),
        ("prune-50.0", UnknownName, "unknown scheme 'prune-50.0'"),
        ("prune-050", UnknownName, "unknown scheme 'prune-050'"),
        ("prune--5", UnknownName, "unknown scheme"),
        ("+", UnknownName, "unknown scheme"),
        ("", UnknownName, "unknown scheme"),
        ("prune-50+", UnknownName, "step ''"),
    ],
)
def test_what_is_no_scheme_says_why(name, error, said):
    with pytest.raises(error, match=said):
        schemes[name]


def test_a_runtime_is_given_the_changed_model():
    scheme = Scheme("x", 32, "float", steps=("doubled-3", "doubled"))
    found = for_build(Model(), scheme)
    assert found.build().value == 6
    assert (found.name, found.version, found.task) == ("number", "3+doubled-3+doubled", "spam")
    assert (found.helper(), found.architecture, found.structure().value) == ("mine", "arabic", 0)
    again = pickle.loads(pickle.dumps(found))
    assert (again.build().value, again.version) == (6, found.version)


def test_other_ways_to_the_model_lead_past_the_steps_and_are_hidden():
    found = for_build(Model(), Scheme("x", 32, "float", steps=("doubled",)))
    assert not hasattr(found, "path")
    assert not hasattr(found, "build_roman")
    assert not hasattr(for_build(Model(), Scheme("x", 32, "float", steps=("reshaped",))), "structure")


def test_only_what_reshapes_is_done_again_at_load():
    model = Model()
    assert for_load(model, schemes["prune-50"]) is model
    assert for_build(model, schemes["fp32"]) is model
    found = for_load(model, Scheme("x", 32, "float", steps=("doubled", "reshaped-5")))
    assert isinstance(found, Transformed)
    assert found.build().value == 10


def test_a_step_that_nobody_registered_is_named():
    with pytest.raises(UnknownName, match="unknown transform 'gone'"):
        for_build(Model(), Scheme("x", 32, "float", steps=("gone",)))
