"""The marks beside the figures of the summary: which figures get one, and which must not."""

from __future__ import annotations

from dataclasses import replace

from benchgate.core import Metric
from tests.builders import a_record
from tests.report.test_summary import drawn, example, measured, row_of


def test_the_best_of_a_column_is_marked_and_a_disturbed_figure_never():
    text = drawn(example(), 200)
    assert "37.6*" in row_of(text, "int4-weight-only torch")
    assert "653*" in row_of(text, "bf16 torch")
    assert "17.1~" in row_of(text, "bf16 torch")
    best = replace(example()[0], metrics={}, key="other")
    fast = [
        replace(record, details={**record.details, "disturbed": ["steal"]}) if "37.6" in str(record.metrics) else record
        for record in [*example(), best]
    ]
    assert "*" not in row_of(drawn(fast, 200), "int4-weight-only torch").split("37.6")[1].split()[0]


def test_a_row_that_another_one_beats_is_marked_and_a_disturbed_one_is_not():
    text = drawn(example(), 200)
    assert row_of(text, "int8-dynamic torch").startswith(". ")
    assert [line[:2] for line in text.splitlines() if "torch" in line and line.startswith(". ")] == [". "]
    noisy = [
        replace(r, details={**r.details, "disturbed": ["steal"]}) if r.cell["scheme"] == "int8-dynamic" else r
        for r in example()
    ]
    assert not any(line.startswith(". ") for line in drawn(noisy, 200).splitlines())


def test_overlapping_intervals_beat_nothing():
    def wide(record):
        return replace(record, metrics={n: replace(m, low=0.0, high=1e12) for n, m in record.metrics.items()})

    assert not any(line.startswith(". ") for line in drawn([wide(r) for r in example()], 200).splitlines())


def test_a_row_without_a_score_is_not_beaten_by_its_speed_alone():
    assert not row_of(drawn(example(), 200), "fp32 torch-compile").startswith(".")


def test_the_legend_names_the_marks_that_there_are_and_no_other():
    last = drawn(example(), 200).splitlines()[-1]
    assert last == "* best  . beaten by another row  ~ disturbed  ? undecidable"
    plain = [measured("fp32", "decode", {"decode_tokens_per_s": 1.0})]
    assert "best" not in drawn(plain, 80)


def test_figures_that_are_not_comparable_are_marked_and_not_related():
    found = [measured("fp32", "decode", {"decode_tokens_per_s": 10.0})]
    found.append(measured("int8", "decode", {"decode_tokens_per_s": 20.0}, details={"threads": 1}))
    text = drawn(found, 80)
    assert "n/c" in row_of(text, "int8 torch")
    assert "2.00x" not in text
    assert "n/c not comparable" in text
    assert "n/c: 1 figure: other threads: 2 -> 1" in drawn(found, 80, in_full=True)


def test_nobody_is_beaten_by_speed_alone():
    found = [
        measured(scheme, "decode", {"decode_tokens_per_s": rate}) for scheme, rate in (("fp32", 10.0), ("int4", 20.0))
    ]
    assert row_of(drawn(found, 80), "fp32 torch").startswith("fp32")
    sized = [
        replace(r, metrics={**r.metrics, "size_bytes": Metric(n, "B", "lower")})
        for r, n in zip(found, (2e8, 1e8), strict=True)
    ]
    assert row_of(drawn(sized, 80), "fp32 torch").startswith(".")


def test_a_figure_that_is_not_comparable_is_not_the_best_and_beats_nobody():
    found = [
        measured("fp32", "decode", {"decode_tokens_per_s": 10.0}),
        measured("bf16", "decode", {"decode_tokens_per_s": 15.0}),
        measured("int8", "decode", {"decode_tokens_per_s": 20.0}, details={"threads": 1}),
    ]
    text = drawn(found, 80)
    assert "15*" in row_of(text, "bf16 torch").replace("15.0*", "15*")
    assert "*" not in row_of(text, "int8 torch")
    assert not row_of(text, "bf16 torch").startswith(".")


def test_a_floor_that_fails_and_a_failed_test_are_marked():
    floors = {"floors": [{"answer": "fails", "metric": "decode_tokens_per_s", "text": "too slow"}]}
    found = [measured("fp32", "decode", {"decode_tokens_per_s": 10.0})]
    found.append(measured("int8", "decode", {"decode_tokens_per_s": 20.0}, details=floors, outcome="failed"))
    text = drawn(found, 80)
    assert "20.0!x" in text
    assert "! below its floor  x failed" in text


def test_an_estimate_is_told_as_one():
    own = {"modelled_energy_j_per_call": 2.0}
    found = [a_record(own, key=str(n), cell={**example()[0].cell, "scheme": scheme}) for n, scheme in enumerate("ab")]
    assert "^ estimate" in drawn(found, 80)
