"""A model card's metadata as the hub's own library reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate import registration
from benchgate.core import BenchgateError
from benchgate.core.metrics import metric
from benchgate.report.model_card import model_card
from tests.report.test_stored_formats import HOSTILE, a_run, hostile

registration.load_builtin()


def card_of(text: str):
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed; pip install huggingface_hub")
    return hub.ModelCard(text)


def test_the_hub_reads_every_score_with_its_data():
    records = [
        replace(a_run(scheme), operation="prefill", details={**a_run().details, "task": "causal-lm"})
        for scheme in ("fp32", "int8")
    ]
    card = card_of(model_card(records, ()))
    assert card.data.model_name == "spam"
    found = card.data.eval_results
    assert [(r.metric_type, r.metric_name, r.metric_value) for r in found] == [
        ("accuracy", "top-1, fp32 torch cpu", 0.25),
        ("accuracy", "top-1, int8 torch cpu", 0.25),
    ]
    assert {(r.task_type, r.dataset_name, r.dataset_args["n"]) for r in found} == {("text-generation", "cloze", "100")}
    assert found[0].metric_args == {"low": 0.2, "high": 0.3}
    assert "| fp32 torch" in card.text
    assert "500 ms" in card.text


@pytest.mark.parametrize("text", [*HOSTILE, "a: b # c", "'\"", "- x", "😀"])
def test_a_hostile_name_stays_text_in_the_metadata(text):
    card = card_of(model_card([hostile(text)], ()))
    (found,) = card.data.eval_results
    assert found.metric_value == 0.25
    assert isinstance(card.data.model_name, str)


def test_without_scores_there_are_no_metadata_and_without_figures_no_card():
    timed = replace(a_run(), metrics={"latency_median_s": metric("latency_median_s", 1.0)})
    assert model_card([timed], ()).startswith("## Measured with benchgate")
    with pytest.raises(BenchgateError, match="nothing to tell"):
        model_card([replace(a_run(), outcome="failed")], ())
