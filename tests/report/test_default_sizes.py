"""Default sizes that a suite wrote out are default sizes, in the recommendation, the picture and the summary."""

from __future__ import annotations

from dataclasses import replace

from benchgate import registration
from benchgate.core import Metric
from benchgate.report.pareto import pictures
from benchgate.report.recommend import recommend
from benchgate.report.recommend_words import Wanted
from tests.report.pages import a_cell

registration.load_builtin()
SPEED = "prefill_tokens_per_s"


def prefill(scheme, speed, **params):
    record = a_cell(scheme, test="t" + "".join(map(str, params.values())), params=params)
    record = replace(record, details={**record.details, "task": "causal-lm"})
    return replace(
        record, metrics={**record.metrics, SPEED: Metric(speed, "tokens/s", "higher", 9, speed - 1, speed + 1)}
    )


# 128 is what the language models' prefill is of where nobody says another size.
RECORDS = [
    prefill("fp32", 100.0),
    prefill("int8", 200.0, context=128),
    prefill("int8", 900.0, context=512),
    prefill("bf16", 150.0),
]


def test_the_recommendation_takes_them_for_the_same():
    (found,) = recommend(RECORDS, [], Wanted(SPEED), {}, None)
    assert (found.winner, found.next) == ("int8 torch", "bf16 torch")
    assert found.lead is not None
    assert found.lead.value == 200 / 150


def test_the_picture_has_them_too():
    (picture,) = pictures(RECORDS)
    assert {point.scheme: point.speed.value for point in picture.points} == {"fp32": 100, "int8": 200, "bf16": 150}
