"""A suite's own metric is gated as its row, and the docs, say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate.core import Metric
from benchgate.core.metrics import TABLE, Row
from tests.builders import a_record
from tests.gate.test_compare import compared

SHARE = Row("spam_recall", "1", "higher", "accuracy", "recall", 0.02)
FOOTPRINT = Row("spam_g", "g", "lower", "footprint", "CO2", 0.1)


def measured(row, value):
    return replace(a_record(), metrics={row.name: Metric(value, row.unit, row.better)})


@pytest.mark.parametrize(
    ("row", "before", "now", "kind"),
    [
        # docs/gate.md: of an accuracy it is a difference, two points and not two per cent
        (SHARE, 0.50, 0.481, "unchanged"),
        (SHARE, 0.50, 0.479, "regressed"),
        (replace(SHARE, absolute=False), 0.50, 0.481, "regressed"),
        (FOOTPRINT, 10.0, 10.9, "unchanged"),
        (FOOTPRINT, 10.0, 11.1, "regressed"),
        (replace(FOOTPRINT, tolerance=None), 10.0, 99.0, "informative"),
    ],
)
def test_a_suites_own_metric_is_gated_as_its_row_says(monkeypatch, row, before, now, kind):
    monkeypatch.setattr("benchgate.core.metrics.TABLE", {**TABLE, row.name: row})
    (finding,) = compared(measured(row, now), measured(row, before))
    assert finding.kind == kind
