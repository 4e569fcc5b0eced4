"""Somebody's own model and task, in 15 lines of their own repository, through the plugin."""

import gc
import json

import pytest

from benchgate.runtimes.torch.runtime import top_operators

pytestmark = pytest.mark.backend("torch")

SUITE = """
import torch, benchgate as bg
from benchgate.core.metrics import metric

@bg.model
class Spam:
    name, version, task = "spam-mlp", "1", "spam"
    def build(self):
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2))

@bg.task
class Classification:
    name, unit = "spam", "mails"
    def sample(self, model, batch):
        return torch.ones(batch, 64)
    def score(self, session, model, data):
        answers = session(self.sample(model, 8)).argmax(axis=-1)
        return {"accuracy": metric("accuracy", (answers == answers[0]).mean(), n=8)}
"""

TESTS = """
import pytest

from benchgate.runtimes.torch.runtime import top_operators

@pytest.mark.cells(model="spam-mlp", scheme=["fp32", "bf16", "int8-dynamic", "int8-static"], runtime="torch")
@pytest.mark.parametrize("batch", [3])
def test_latency(cell, batch):
    assert cell.measure(batch=batch, meters=("size",))["accuracy"] >= 0.97
"""


def test_bring_your_own(pytester, monkeypatch):
    pytester.makepyfile(suite=SUITE, test_spam=TESTS, conftest='pytest_plugins = ["suite"]')
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    result = pytester.runpytest_subprocess(
        "-p",
        "no:cacheprovider",
        "--benchmark-max-time=0.02",
        "--benchmark-json=out.json",
        "--cell-need=torch",
        timeout=120,
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["benchgate: 1 combination left out:", "  1 x torch has no int8-static compression"])
    document = json.loads((pytester.path / "out.json").read_text())
    records = {b["params"]["scheme"]: b["extra_info"]["benchgate"] for b in document["benchmarks"]}
    assert set(records) == {"fp32", "bf16", "int8-dynamic"}
    for record in records.values():
        assert record["params"] == {"batch": 3}
        assert record["packages"].keys() >= {"torch", "torchao"}
        assert "3 per call" in record["metrics"]["throughput_per_s"]["method"]
        assert record["kernel"]["operators"]
    assert any(kind.startswith("Int8Tensor") for kind in records["int8-dynamic"]["kernel"]["weights"])
    sizes = {scheme: r["metrics"]["size_memory_bytes"]["value"] for scheme, r in records.items()}
    assert sizes["int8-dynamic"] < sizes["bf16"] < sizes["fp32"] == (64 * 128 + 128 + 128 * 2 + 2) * 4


@pytest.mark.parametrize("on", [True, False])
def test_operators_are_told_without_garbage_collection_which_is_then_as_it_was(on, monkeypatch):
    import torch

    was, meanwhile, told = gc.isenabled(), [], torch.profiler.profile.key_averages
    monkeypatch.setattr(
        torch.profiler.profile, "key_averages", lambda profiled: meanwhile.append(gc.isenabled()) or told(profiled)
    )
    (gc.enable if on else gc.disable)()
    try:
        assert "aten::mm" in top_operators(lambda: torch.ones(64, 64) @ torch.ones(64, 64))
        assert (meanwhile, gc.isenabled()) == ([False], on)
    finally:
        (gc.enable if was else gc.disable)()
