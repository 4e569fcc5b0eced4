"""The contracts of models and tasks: our own pass, and who breaks one is told what was expected."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import benchgate
from benchgate import Metric, Work
from benchgate.core import runtimes, tasks
from benchgate.registration import load_builtin
from benchgate.testing import ContractBroken, check_model, check_task
from tests.runtimes.test_contract import Net, Pictures
from tests.tasks.text2text.tiny import MODELS

load_builtin()
COUNT = itertools.count()


class Rows:
    name, unit = "contract-rows", "rows"

    def sample(self, model, batch):
        return np.arange(batch * 3, dtype=np.float32).reshape(batch, 3)

    def score(self, session, model, data):
        return {"accuracy": benchgate.metric("accuracy", session(self.sample(model, 1)).mean() / 10, n=1)}


class Tensor(np.ndarray):
    """An array with what is asked of a tensor."""

    def detach(self):
        return self

    cpu = double = detach


class Built(dict):
    def state_dict(self):
        return self


def weights(values):
    return Built(w=np.asarray(values, dtype=np.float64).view(Tensor))


class Weights:
    name, version, task = "contract-weights", "1", Rows.name

    def build(self):
        return weights([[1, 0], [0, 1]])


def save(built, path):
    path.write_bytes(b"weights")


def load(path):
    return path.read_bytes()


def call(loaded, inputs):
    return inputs * 2


RUNTIME = benchgate.SimpleRuntime("contract-simple", load, call, save)


@pytest.fixture(autouse=True)
def registered():
    with tasks.extended(Rows(), Pictures()), runtimes.extended(RUNTIME):
        yield


def changed(base, **members):
    return type(base.__name__, (base,), members)()


def test_a_sound_model_and_task_pass():
    assert check_model(Weights()) == []
    assert check_task(Rows(), Weights(), runtime=RUNTIME) == []
    assert check_task(Rows(), Weights(), runtime=RUNTIME.name) == []


@pytest.mark.backend("torch")
def test_our_own_models_and_tasks_pass():
    assert check_model(Net()) == []
    assert check_task(Pictures(), Net(), runtime="torch") == ["score gives no metric"]
    for model in MODELS:
        check_model(model)


@pytest.mark.backend("torch")
def test_our_own_task_of_steps_passes():
    task, model = tasks[MODELS[0].task], MODELS[0]
    given = task.filling(model, {"batch": 2})
    notes = check_task(task, model, runtime="torch", inputs=given, data=given)
    assert "request is not run: it needs server" in notes


MODELS_BROKEN = {
    "no name": ({"name": ""}, "a model has a name, a text; Weights has ''"),
    "brackets": ({"name": "a[b]"}, r"model 'a\[b\]': a name is part of the test id, leave '\[' '\]' out"),
    "no version": ({"version": None}, "version is a text, kept with every result .* got None"),
    "a number": ({"version": 2}, "version is a text, .* got 2"),
    "task": ({"task": "contract-nothing"}, "task names a registered one .* got 'contract-nothing'"),
    "no source": ({"build": None}, r"a model has build\(\), which returns the module, or path, its file"),
    "no file": ({"path": "/nowhere/net.onnx"}, "/nowhere/net.onnx is a file that is there, of > 0 bytes"),
    "random": (
        {"build": lambda self: weights([next(COUNT)])},
        "two builds have the same weights; w differ: seed build",
    ),
    "nan": ({"build": lambda self: weights([float("nan")])}, "weights are finite numbers; NaN or infinity in w"),
    "structure": ({"structure": lambda self: weights([1])}, r"structure\(\) has build\(\)'s tensors; .*\['w'\]"),
    "calibration": ({"calibration": lambda self: []}, r"calibration\(\) gives inputs, .* it gave none"),
}


@pytest.mark.parametrize("case", MODELS_BROKEN)
def test_a_model_that_breaks_its_contract_is_told(case, monkeypatch):
    members, said = MODELS_BROKEN[case]
    monkeypatch.setattr("benchgate.core.contracts.pickle.dumps", lambda given: b"")
    with pytest.raises(ContractBroken, match=said):
        check_model(changed(Weights, **members))


def test_a_model_that_cannot_be_sent_is_told():
    model = Weights()
    model.handle = lambda: None
    with pytest.raises(ContractBroken, match="Weights cannot be sent to a process of its own"):
        check_model(model)


def test_two_builds_that_were_said_to_differ_must(monkeypatch):
    with pytest.raises(ContractBroken, match="two builds are equal, rebuilt_differs is not needed any more"):
        check_model(Weights(), rebuilt_differs="it counts")
    monkeypatch.setattr(Weights, "build", lambda self: weights([next(COUNT)]))
    assert check_model(Weights(), rebuilt_differs="it counts") == ["two builds are not compared: it counts"]


def scoring(**metrics):
    return {"score": lambda self, session, model, data: metrics}


def working(work):
    return {"operations": {"go": lambda session, model, inputs: work}}


def refuse(output):
    raise benchgate.InvalidOutput("all zero")


TASKS_BROKEN = {
    "unit": ({"unit": ""}, "unit is a text, what its throughput counts"),
    "operations": ({"operations": {"go": 3}}, "operations maps names to functions"),
    "items": ({"sample": lambda self, m, b: np.ones((7, 3))}, r"has 1 items along the first axis; got \[\(7, 3\)\]"),
    "random": ({"sample": lambda self, m, b: np.full((b, 3), next(COUNT))}, "gives the same inputs each time"),
    "no work": (working(3), "go returns a Work, got int"),
    "units": (working(Work(call=list, units=0)), "go says with units > 0 what one call processes; got 0"),
    "throughput": (working(Work(call=list, throughput="eggs")), "throughput 'eggs' has a row; add it with metric_row"),
    "check": (working(Work(call=list, check=refuse)), "go lets its own answer pass; all zero"),
    "number": (scoring(accuracy=0.5), "score's 'accuracy' is a Metric, got 0.5"),
    "no unit": (scoring(eggs=Metric(1, "", "lower")), "score's 'eggs' has a unit"),
    "direction": (scoring(eggs=Metric(1, "1", "up")), "better is 'lower' or 'higher'; got 'up'"),
    "row": (scoring(accuracy=Metric(1, "1", "lower")), "has its row's unit and direction, 1, higher; got 1, lower"),
    "nan": (scoring(eggs=Metric(float("nan"), "1", "lower")), "is a finite number; eggs is nan"),
    "interval": (scoring(eggs=Metric(1, "1", "lower", low=2)), "its interval holds its value; got 2.0 to 1.0 and 1.0"),
    "unsteady": (
        {"score": lambda self, session, model, data: {"eggs": Metric(next(COUNT), "1", "lower")}},
        "score gives the same metrics for the same data",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TASKS_BROKEN)
def test_a_task_that_breaks_its_contract_is_told(case):
    members, said = TASKS_BROKEN[case]
    with pytest.raises(ContractBroken, match=said):
        check_task(changed(Rows, **members), Weights(), runtime=RUNTIME)


def test_a_metric_without_a_row_is_noted():
    task = changed(Rows, **scoring(eggs=Metric(1, "1", "lower")))
    assert check_task(task, Weights(), runtime=RUNTIME) == ["eggs has no row: it is shown and never gated"]


def test_a_runtime_that_does_not_take_the_model_is_told():
    with pytest.raises(ContractBroken, match=r"contract-simple runs contract-weights in int8-dynamic here; .* has no"):
        check_task(Rows(), Weights(), runtime=RUNTIME, scheme="int8-dynamic")
