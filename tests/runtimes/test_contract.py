"""The contract that every runtime fulfils, on small real models; and that the suite finds who does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import benchgate.schemes  # noqa: F401  registers them
from benchgate.core import runtimes, support, tasks
from benchgate.registration import load_builtin
from benchgate.testing import ContractBroken, check_runtime
from tests.tasks.text2text.tiny import MODELS, sources

load_builtin()


class Pictures:
    name, unit = "contract-pictures", "images"

    def sample(self, model, batch):
        return np.linspace(0, 1, batch * 192, dtype=np.float32).reshape(batch, 3, 8, 8)

    def score(self, session, model, data):
        return {}


class Net:
    name, version, task = "contract-net", "1", Pictures.name

    def build(self):
        import torch

        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3))


@pytest.fixture(autouse=True)
def registered():
    with tasks.extended(Pictures()):
        yield


def runs(*names):
    return [pytest.param(name, marks=pytest.mark.backend(name.removesuffix("-generate"))) for name in names]


@pytest.mark.backend("torch")
@pytest.mark.parametrize("name", runs("torch", "onnxruntime", "litert"))
@pytest.mark.parametrize("scheme", ["fp32", "prune-50"])
def test_one_call_runtimes(name, scheme, tmp_path):
    if name == "litert":
        pytest.importorskip("litert_torch")
    check_runtime(runtimes[name], Net(), folder=tmp_path, scheme=scheme, refused=["gguf-q4_0", "bf16-autocast"])


@pytest.mark.backend("torch")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", runs("torch", "torch-generate", "torchscript", "onnxruntime", "ctranslate2", "ggml"))
def test_stepwise_runtimes(name, tmp_path):
    """T5, several lengths in one call; alone or together the answers are the same."""
    given = sources(5, 17, 9)

    def answers(session):
        return session.generate(given, 8)

    differs = "a program holds where its source was" if name == "torchscript" else ""
    check_runtime(runtimes[name], MODELS[0], folder=tmp_path, call=answers, refused=["gptq-4"], rebuilt_differs=differs)


class Weights:
    """An object that can be watched."""

    def __init__(self):
        self.values = np.ones(3)


class Session:
    kernel, weights_bytes, identity = {"numpy": "ones"}, 24, ""

    def __init__(self):
        self.weights = Weights()

    def __call__(self, inputs):
        return inputs.reshape(len(inputs), -1)[:, :3] * self.weights.values

    def close(self):
        self.weights = None


class Sound:
    """A runtime that keeps the contract; the ones below break it in one point each."""

    name, format, needs = "contract", "bytes", {"numpy": "numpy"}
    session = Session

    def missing(self, device):
        return None if device == "cpu" else f"contract runs on cpu, not {device}"

    def build(self, model, scheme, out):
        (out / "weights").write_bytes(b"111")

    def load(self, path, model, device, threads):
        return self.session()


def broken_session(**members):
    return type("Broken", (Sound,), {"session": type("BrokenSession", (Session,), members)})


class BuildsNothing(Sound):
    def build(self, model, scheme, out):
        """Nothing is written."""


class BuildsOtherwise(Sound):
    def build(self, model, scheme, out: Path):
        (out / "weights").write_bytes(out.name.encode())


class Local(Sound):
    def __init__(self):
        self.unpicklable = lambda: None


def random_answer(self, inputs):
    return np.random.default_rng().random((len(inputs), 3))


HELD = []


def held_elsewhere(self):
    HELD.append(self.weights)
    self.weights = None


BREAKS = {
    "nothing": (BuildsNothing, "build wrote no file"),
    "otherwise": (BuildsOtherwise, "two builds of one model differ in weights; say why"),
    "pickle": (Local, "Local cannot be sent to a process"),
    "nan": (broken_session(__call__=lambda self, x: np.full((2, 1), np.nan)), "NaN or infinity"),
    "empty": (broken_session(__call__=lambda self, x: []), "answered with nothing"),
    "random": (broken_session(__call__=random_answer), "otherwise the second time"),
    "batch": (broken_session(__call__=lambda self, x: np.ones((len(x), 1)) * len(x)), "alone than in a batch"),
    "kernel": (broken_session(kernel={}), "kernel is a mapping that says what runs"),
    "bytes": (broken_session(weights_bytes=0), "weights_bytes is a positive int"),
    "threads": (broken_session(kernel={"threads": 1}), "loaded with 2 threads, its kernel says 1"),
    "close": (broken_session(close=lambda self: None), r"close\(\) let go of nothing"),
    "held": (broken_session(close=held_elsewhere), "drops weights, which something else still holds"),
    "device": (type("D", (Sound,), {"missing": lambda self, d: None if d == "cpu" else ""}), "None or one line"),
}


@pytest.fixture
def rows():
    session = support.SessionRow("contract", Pictures.name, "tests.runtimes.test_contract:Session")
    with (
        support.sessions.extended(session),
        support.compressors.extended(support.CompressorRow("contract", "float", dtypes=("float32",))),
    ):
        yield


@pytest.mark.usefixtures("rows")
def test_a_sound_runtime_passes_and_what_it_does_not_tell_is_noted(tmp_path):
    notes = check_runtime(Sound(), Net(), folder=tmp_path, refused=["bf16", "int8-static"])
    assert set(notes) == {"the number of threads is not told in kernel['threads']"}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("case", BREAKS)
def test_who_breaks_the_contract_is_told_how(case, tmp_path, monkeypatch):
    runtime, said = BREAKS[case]
    if case != "pickle":
        monkeypatch.setattr("benchgate.core.contracts.pickle.dumps", lambda given: b"")
    with pytest.raises(ContractBroken, match=said):
        check_runtime(runtime(), Net(), folder=tmp_path)


@pytest.mark.usefixtures("rows")
def test_what_was_said_to_be_refused_must_be(tmp_path):
    with pytest.raises(ContractBroken, match="contract takes fp32, which was said to be refused"):
        check_runtime(Sound(), Net(), folder=tmp_path, refused=["fp32"])


def test_a_runtime_without_rows_is_told_to_add_them(tmp_path):
    with pytest.raises(ContractBroken, match=r"contract refuses contract-net in fp32: .*; add its rows"):
        check_runtime(Sound(), Net(), folder=tmp_path)
