"""Names: cells, the registries and their errors; and what importing benchgate costs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass

import pytest

from benchgate.core import (
    BenchgateError,
    Cell,
    DataError,
    DuplicateName,
    InvalidOutput,
    Metric,
    Registry,
    Scheme,
    Unavailable,
    UnknownName,
    Work,
    operations,
    tasks,
    unknown_name,
)

HEAVY = ["torch", "transformers", "numpy", "scipy", "onnxruntime", "pytest", "memray", "rich", "unearth", "httpx2"]


def test_importing_benchgate_loads_nothing_heavy():
    code = f"import benchgate, json, sys; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout) == []


def test_the_logic_modules_load_no_ml_library():
    code = (
        "import sys, benchgate.gate.compare, benchgate.gate.paired, benchgate.results, benchgate.registration\n"
        "import benchgate.measuring.run, benchgate.measuring.meters, benchgate.pytest_plugin.hooks\n"
        "benchgate.registration.load_builtin()\n"
        "print([m for m in ('torch', 'transformers', 'onnxruntime', 'huggingface_hub') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_cells_text_is_the_test_id_in_the_order_of_the_axes():
    assert str(Cell("smollm2-135m", "int8-dynamic", "torch", "cpu")) == "smollm2-135m-int8-dynamic-torch-cpu"


@pytest.mark.parametrize(
    ("value", "attribute"),
    [(Cell("a", "b", "c", "d"), "model"), (Scheme("a", 8, "m"), "bits"), (Metric(1.0, "s", "lower"), "value")],
)
def test_values_are_frozen(value, attribute):
    with pytest.raises(FrozenInstanceError):
        setattr(value, attribute, 1)


def test_a_scheme_as_data_is_json():
    scheme = Scheme("int4", 4, "int4-weight-only", {"group_size": 64})
    assert json.loads(json.dumps(scheme.as_dict())) == {
        "name": "int4",
        "bits": 4,
        "method": "int4-weight-only",
        "options": {"group_size": 64},
    }


@pytest.mark.parametrize("kind", [UnknownName, DuplicateName, Unavailable, InvalidOutput, DataError])
def test_every_error_of_ours_is_one_to_catch(kind):
    assert issubclass(kind, BenchgateError)


RUNTIMES = ["ggml", "gptq", "litert", "onnxruntime", "torch"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("onnx", "unknown runtime 'onnx'; did you mean 'onnxruntime'? known: ggml, gptq, litert, onnxruntime, torch"),
        ("torhc", "unknown runtime 'torhc'; did you mean 'torch'? known: ggml, gptq, litert, onnxruntime, torch"),
        ("xyz", "unknown runtime 'xyz'; known: ggml, gptq, litert, onnxruntime, torch"),
        ("", "unknown runtime ''; known: ggml, gptq, litert, onnxruntime, torch"),
    ],
)
def test_an_unknown_name_gets_its_near_matches_and_the_list(name, message):
    assert unknown_name("runtime", name, RUNTIMES) == message


def test_an_unknown_name_in_an_empty_registry_says_none():
    with pytest.raises(UnknownName, match=r"^unknown spam 'ham'; known: none$"):
        Registry("spam")["ham"]


@dataclass(frozen=True)
class Thing:
    name: str
    size: int = 1


class Ham:
    name = "ham"


class OtherHam:
    name = "ham"


def test_a_decorated_class_is_registered_as_an_instance_and_returned_as_it_was():
    things: Registry[Ham] = Registry("thing")
    assert things.add(Ham) is Ham
    assert isinstance(things["ham"], Ham)
    assert "ham" in things
    assert list(things) == ["ham"]


def test_an_object_is_registered_and_returned():
    things: Registry[Thing] = Registry("thing")
    thing = Thing("b")
    assert things.add(thing) is thing
    things.add(Thing("a"))
    assert list(things) == ["a", "b"]
    assert things.values() == [Thing("a"), thing]


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        (Ham, OtherHam, ["test_words.Ham", "test_words.OtherHam"]),
        (Thing("ham", 1), Thing("ham", 2), ["Thing(name='ham', size=1)", "Thing(name='ham', size=2)"]),
        (Ham, Thing("ham"), ["test_words.Ham", "test_words.Thing"]),
    ],
)
def test_a_duplicate_is_refused_naming_both(first, second, named):
    things: Registry[object] = Registry("thing")
    things.add(first)
    with pytest.raises(DuplicateName, match="thing 'ham' is registered twice") as caught:
        things.add(second)
    assert all(name in str(caught.value) for name in named)
    assert type(things["ham"]) is (first if isinstance(first, type) else type(first))


@pytest.mark.parametrize("item", [Ham, Thing("ham")])
def test_the_same_thing_imported_twice_is_no_duplicate(item):
    things: Registry[object] = Registry("thing")
    things.add(item)
    things.add(item)
    assert list(things) == ["ham"]


def test_a_name_that_is_not_registered_can_be_resolved():
    things: Registry[Thing] = Registry("thing")
    things.resolve = lambda name: Thing(name) if "/" in name else None
    assert things["org/name"] == Thing("org/name")
    assert "org/name" not in things
    with pytest.raises(UnknownName):
        things["name"]


def test_a_registered_object_that_is_false_is_found():
    class Empty(list):
        name = "empty"

    things: Registry[Empty] = Registry("thing")
    things.add(Empty())
    assert things["empty"] == []


class Flips:
    name, optional = "flips", True


class Sized(Flips):
    gives = ("flips",)

    def __init__(self, size):
        self.size = size


class NoName:
    name, optional, gives = None, True, ()


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Flips, "class Flips is no meter: it has no gives; a meter is a class or an object with name, optional, gives"),
        (Flips(), "an object of class Flips is no meter: it has no gives"),
        ("flips", "'flips' is no meter: it has no name, optional, gives"),
        (NoName, "class NoName is no meter: its name is None, not a text"),
        (Sized, r"Sized: the class cannot be made without arguments .*benchgate.meter\(Sized\(...\)\)"),
    ],
)
def test_what_is_no_such_thing_is_told_what_was_expected_and_given(item, said):
    meters: Registry[object] = Registry("meter", ("optional", "gives"))
    with pytest.raises(BenchgateError, match=said):
        meters.add(item)
    assert list(meters) == []


@pytest.mark.parametrize(("given", "said"), [(Flips(), "an object of class Flips"), (Flips, "class Flips"), (3, "3")])
def test_what_is_asked_for_by_something_else_than_its_name_is_told(given, said):
    with pytest.raises(UnknownName, match=f"asked for by its name, which is a text; got {said}: register it"):
        Registry("meter")[given]


def test_a_class_with_the_members_of_a_dataclass_becomes_one():
    class Big:
        name, unrelated = "big", 7

    things: Registry[Thing] = Registry("thing", data=Thing)
    assert things.add(Big) is Big
    assert things["big"] == Thing("big", 1)


class Doubling:
    """A task without operations."""

    name = "test-core-doubling"
    unit = "items"

    def sample(self, model, batch):
        return [model.start] * batch

    def score(self, session, model, data):
        return {}


class Three:
    name, version, task, start = "three", "1", Doubling.name, 3


def test_a_task_without_operations_has_one_call_of_its_sample():
    with tasks.extended(Doubling()):
        known = operations(tasks[Doubling.name])
        work = known["call"](lambda inputs: [2 * x for x in inputs], Three(), [3, 3], batch=2)
        assert isinstance(work, Work)
        assert (list(known), work.units, work.call()) == (["call"], 2, [6, 6])


def test_a_tasks_own_operations_are_taken():
    class Own:
        name, unit, operations = "own", "items", {"first": None, "second": None}

    assert list(operations(Own())) == ["first", "second"]
