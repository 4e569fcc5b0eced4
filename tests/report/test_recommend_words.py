"""Names and bounds as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import BenchgateError
from benchgate.core.metrics import TABLE
from benchgate.report.recommend_words import SHORT, Wanted, best_of, bound_of, figure_named, limits_of


def test_every_short_name_is_of_a_metric_and_hides_none():
    assert set(SHORT.values()) <= set(TABLE)
    assert not set(SHORT) & set(TABLE)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("500MB", "B", 5e8), ("512 MiB", "B", 2**29), ("1.5gb", "B", 1.5e9), ("10ms", "s", 0.01), ("2 s", "s", 2),
        ("20", "tokens/s", 20), ("20 tokens/s", "tokens/s", 20), ("1%", "1", 0.01), ("0.35", "1", 0.35),
        (".5", "1", 0.5), ("1e3", "1/s", 1000), ("5mJ", "J", 0.005), ("-0.1", "nat", -0.1),
    ],
)  # fmt: skip
def test_bounds_with_their_units(text, unit, value):
    assert bound_of(text, unit, "--max x") == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "MB", "nan", "inf", "1e999", "5 parsec", "10MB", "1,5", "=1"])
def test_what_is_no_bound_of_a_time_is_said(text):
    with pytest.raises(BenchgateError, match=r"--max latency: .* is no bound; write a number, with one of s, us, ms"):
        bound_of(text, "s", "--max latency")


@given(st.text(max_size=12), st.sampled_from(sorted({row.unit for row in TABLE.values()})))
def test_any_text_is_a_finite_number_or_refused(text, unit):
    try:
        value = bound_of(text, unit, "--max x")
    except BenchgateError:
        return
    assert abs(value) < float("inf")


def test_names_short_whole_and_of_an_operation():
    assert figure_named("decode") == Wanted("decode_tokens_per_s")
    assert figure_named("prefill.latency") == Wanted("latency_median_s", "prefill")
    assert figure_named("size_bytes") == Wanted("size_bytes")


@pytest.mark.parametrize(
    ("most", "least", "losses", "said"),
    [
        (["lattency=1ms"], [], [], "did you mean 'latency'"),
        (["modelled_energy_j_per_call=1"], [], [], "modelled, not measured"),
        ([], [], ["1"], "is no share; write for example 1% or 0.01"),
        ([], [], ["-1%"], "is no share"),
        ([], [], ["size=1%"], "is no accuracy"),
        ([], ["decode=fast"], [], "is no bound"),
    ],
)
def test_bad_limits_are_said_with_what_is_allowed(most, least, losses, said):
    with pytest.raises(BenchgateError, match=said):
        limits_of(most, least, losses)


@pytest.mark.parametrize(
    ("by", "most", "least", "wanted"),
    [
        (None, ["rss=500MB"], ["decode=20"], None),
        ("latency", ["rss=500MB"], [], Wanted("latency_median_s")),
        (None, ["rss=500MB"], ["latency"], Wanted("latency_median_s")),
        (None, ["prefill.prefill"], [], Wanted("prefill_tokens_per_s", "prefill")),
    ],
)
def test_the_best_is_asked_for_by_name_or_by_a_bound_without_a_value(by, most, least, wanted):
    assert best_of(by, most, least) == wanted
    assert len(limits_of(most, least, [])) == sum("=" in text for text in (*most, *least))


@pytest.mark.parametrize(
    ("by", "most", "least", "said"),
    [
        (
            None,
            ["rss"],
            [],
            "--max rss: of peak_rss_bytes lower is better; --min rss asks for the best, --max rss=VALUE",
        ),
        (None, [], ["decode"], "--min decode: of decode_tokens_per_s higher is better; --max decode asks for the best"),
        ("size", [], ["latency"], "--by size and --min latency: the best in one figure is chosen"),
        (None, [], ["latency", "rss"], "--min latency and --min rss: the best in one figure is chosen"),
        (None, [], ["latncy"], "unknown metric 'latncy'"),
    ],
)
def test_bad_wishes_are_said_with_what_is_allowed(by, most, least, said):
    with pytest.raises(BenchgateError, match=re.escape(said)):
        best_of(by, most, least)


def test_limits_keep_how_they_were_asked():
    most, least, loss = limits_of(["rss=500MB"], ["decode=20"], ["perplexity=5%"])
    assert (most.option, most.bound, most.at_most) == ("--max rss", 5e8, True)
    assert (least.option, least.bound, least.at_most) == ("--min decode", 20, False)
    assert (loss.option, loss.bound, loss.wanted) == ("--max-loss perplexity", 0.05, Wanted("perplexity", lost=True))
