"""Magnitude pruning: which weights, how many, and that every runtime measures the pruned model."""

from __future__ import annotations

import json
import math

import pytest

from benchgate.core import DataError, schemes
from benchgate.registration import load_builtin
from benchgate.transforms.layers import multiplied
from benchgate.transforms.prune import Prune

load_builtin()


def sparsity(module):
    return Prune().figures(module)["sparsity"]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_the_smallest_of_each_layer_become_zero(torch):
    layers = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ReLU(), torch.nn.Conv2d(2, 4, 3))
    before = [layer.weight.detach().clone() for layer in (layers[0], layers[2])]
    biases = [layers[0].bias.clone(), layers[2].bias.clone()]
    assert Prune().apply(layers, 40.0) is layers
    for layer, old in zip((layers[0], layers[2]), before, strict=True):
        zero = layer.weight == 0
        assert int(zero.sum()) == math.floor(0.4 * old.numel())
        assert old[zero].abs().max() <= old[~zero].abs().min()
        assert torch.equal(layer.weight[~zero], old[~zero])
    assert torch.equal(layers[0].bias, biases[0])
    assert torch.equal(layers[2].bias, biases[1])


def test_of_equal_weights_exactly_as_many_as_asked(torch):
    layer = torch.nn.Linear(4, 4, bias=False)
    torch.nn.init.ones_(layer.weight)
    assert sparsity(Prune().apply(layer, 25.0)) == 0.25
    assert int((layer.weight[0] == 0).sum()) == 4


def test_a_layout_of_memory_changes_nothing(torch):
    plain = torch.nn.Conv2d(4, 8, 3)
    last = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    assert torch.equal(Prune().apply(plain, 50.0).weight, Prune().apply(last, 50.0).weight)


def test_a_tied_embedding_stays_and_a_shared_layer_is_pruned_once(torch):
    embedding, head = torch.nn.Embedding(6, 4), torch.nn.Linear(4, 6, bias=False)
    head.weight = embedding.weight
    first, second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    second.weight = first.weight
    module = torch.nn.ModuleList([embedding, head, first, second])
    assert [name for name, _ in multiplied(module)] == ["2"]
    Prune().apply(module, 50.0)
    assert int((embedding.weight == 0).sum()) == 0
    assert int((first.weight == 0).sum()) == 8


def test_a_module_without_such_layers_is_not_measured_as_pruned(torch):
    assert Prune().figures(torch.nn.Embedding(3, 2)) == {}
    with pytest.raises(DataError, match="prune: GRUCell has no linear or convolution layer"):
        Prune().apply(torch.nn.GRUCell(3, 2), 50.0)


SUITE = """
import torch, benchgate as bg
from benchgate.core.metrics import metric

@bg.model
class Spam:
    name, version, task = "spam-net", "1", "spam"
    def build(self):
        torch.manual_seed(0)
        conv = torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 8, 3)
        return torch.nn.Sequential(*conv, torch.nn.Flatten(), torch.nn.Linear(128, 64))

@bg.model
class File:
    name, version, task, path = "spam-file", "1", "spam", "spam.onnx"

@bg.task
class Classification:
    name, unit = "spam", "mails"
    def sample(self, model, batch):
        return torch.linspace(0, 1, 3 * 64).view(1, 3, 8, 8).expand(batch, 3, 8, 8).numpy()
    def score(self, session, model, data):
        answers = session(self.sample(model, 8))
        answers = next(iter(answers.values())) if isinstance(answers, dict) else answers
        return {"accuracy": metric("accuracy", float(abs(answers).mean()), n=8)}
"""

TESTS = """
import pytest

@pytest.mark.cells(
    model=["spam-net", "spam-file"], scheme=["fp32", "prune-50"], runtime=["torch", "onnxruntime", "torch-training"]
)
def test_float(cell):
    cell.measure(meters=("size",))

@pytest.mark.cells(model="spam-net", scheme=["int8-dynamic", "prune-50+int8-dynamic"], runtime="onnxruntime")
def test_int8(cell):
    cell.measure(meters=("size",))

@pytest.mark.cells(model="spam-net", scheme="prune-50+int8-weight-only", runtime="torch")
def test_memory(cell):
    cell.measure(meters=("memory",))
"""


@pytest.mark.backend("torch")
@pytest.mark.backend("onnxruntime")
def test_every_runtime_measures_the_pruned_model(pytester, benchgate_cache, monkeypatch, torch):
    """On a real module: the artifacts' own weights are as sparse as asked, and no two schemes share one."""
    pytester.makepyfile(suite=SUITE, test_spam=TESTS, conftest='pytest_plugins = ["suite"]')
    pytester.path.joinpath("spam.onnx").write_bytes(b"")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--benchmark-max-time=0.02", "--benchmark-json=out.json",
        "-k", "not spam-file-fp32", timeout=280,
    )  # fmt: skip
    result.assert_outcomes(passed=7, deselected=1)
    result.stdout.fnmatch_lines_random(
        [
            "*1 x spam-file has no build(), prune-50 works on torch modules*",
            "*torch-training runs training, causal-lm, text2text models, spam-net is for spam*",
        ]
    )
    document = json.loads((pytester.path / "out.json").read_text())
    records = [b["extra_info"]["benchgate"] for b in document["benchmarks"]]
    figures = {
        (r["cell"]["scheme"], r["cell"]["runtime"]): {name: found["value"] for name, found in r["metrics"].items()}
        for r in records
    }
    assert len(figures) == 7
    score = {key: found["accuracy"] for key, found in figures.items()}
    pruned = score["prune-50", "torch"]
    assert abs(pruned - score["fp32", "torch"]) > 0.05 * score["fp32", "torch"]
    assert score["prune-50", "onnxruntime"] == pytest.approx(pruned, rel=1e-4)
    assert score["fp32", "onnxruntime"] == pytest.approx(score["fp32", "torch"], rel=1e-4)
    assert score["prune-50+int8-dynamic", "onnxruntime"] == pytest.approx(pruned, rel=0.03)
    zeros = {key: found.get("sparsity") for key, found in figures.items() if key[0].startswith("prune")}
    # Told by the meter of sizes, which one of the cells does not have.
    assert zeros.pop(("prune-50+int8-weight-only", "torch")) is None
    assert list(zeros.values()) == [0.5] * 3
    size = {key: found.get("size_memory_bytes") for key, found in figures.items()}
    assert size["prune-50", "torch"] == size["fp32", "torch"] == 4 * (16 * 27 + 16 + 8 * 144 + 8 + 64 * 128 + 64)
    assert size["prune-50+int8-dynamic", "onnxruntime"] == size["int8-dynamic", "onnxruntime"]
    assert figures["prune-50+int8-weight-only", "torch"]["peak_rss_bytes"] > 0
    state = torch.load(next(benchgate_cache.glob("artifacts/spam-net-prune-50-torch-*/weights.pt")), weights_only=True)
    for weight in (state["0.weight"], state["2.weight"], state["4.weight"]):
        assert float((weight == 0).float().mean()) == 0.5
    keys = [json.loads(p.read_text())["key"] for p in benchgate_cache.glob("artifacts/spam-net-*/benchgate.json")]
    assert len(keys) == 7
    assert sum(key["scheme"].get("steps") == ["prune-50"] for key in keys) == 4


@pytest.mark.backend("torch")
def test_text_to_text_models_are_pruned_too(torch):
    from benchgate.core.transformed import for_build
    from tests.tasks.text2text.tiny import MODELS

    for model in MODELS:
        module = for_build(model, schemes["prune-50"]).build()
        assert sparsity(module) == pytest.approx(0.5, abs=0.01)
        assert not module.training
