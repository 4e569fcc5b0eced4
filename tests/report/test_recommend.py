"""The recommendation: limits, the winner and its lead, what would change it, what cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import BenchgateError
from benchgate.core.metrics import metric
from benchgate.report.dominance import Reading
from benchgate.report.recommend import recommend
from benchgate.report.recommend_cells import Unknown
from benchgate.report.recommend_words import Limit, Wanted
from benchgate.results import Record
from tests.builders import CELL, a_record
from tests.report.recommending import LATENCY, RSS, SIZE, THREE, asked, measured, time_of


def test_the_best_of_what_keeps_the_limits_wins_by_a_ratio_with_its_interval():
    found = asked(THREE)
    assert (found.winner, found.next, found.told_apart) == ("int8 torch", "fp16 torch", True)
    assert found.lead is not None
    assert found.lead.value == pytest.approx(0.5 / 0.8)
    assert found.lead.low < 0.5 / 0.8 < found.lead.high < 1


def test_a_limit_flips_the_winner_and_the_answer_tells_which():
    found = asked(THREE, ["size=2.5MB"])
    assert found.winner == "fp16 torch"
    assert found.change is not None
    assert (found.change.looser, found.change.to) == (True, "int8 torch")
    assert [(limit.option, bound) for limit, bound in found.change.limits] == [("--max size", 3e6)]


def test_a_tighter_limit_may_be_nearer():
    found = asked(THREE, ["size=3.1MB"])
    assert found.winner == "int8 torch"
    assert found.change is not None
    assert (found.change.looser, found.change.to) == (False, "fp16 torch")


def test_nothing_keeps_it_and_what_it_would_take_is_told():
    found = asked(THREE, ["size=1MB"])
    assert (found.winner, found.undecided) == ("", [])
    assert found.change is not None
    assert found.change.to == "fp16 torch"


def test_a_bound_inside_the_interval_cannot_be_said_and_tells_how_many_rounds_would():
    found = asked(THREE, ["latency=480ms"])
    assert found.winner == ""
    (open_cell,) = found.undecided
    assert open_cell.candidate.name == "int8 torch"
    # half width 0.05 at n=20, margin 0.02: 20 * (0.05 / 0.02)^2 = 125
    assert open_cell.checks[0].more == 105


def test_a_value_within_a_bound_that_its_interval_reaches_over_keeps_nothing():
    found = asked(THREE, ["latency=520ms"])
    (open_cell,) = found.undecided
    assert (found.winner, open_cell.candidate.name, open_cell.kept) == ("", "int8 torch", "cannot say")
    assert asked(THREE, ["latency=550ms"]).winner == "int8 torch"


def test_disturbed_missing_and_uncertain_figures_never_win():
    disturbed = measured("int8", time_of(0.1, 0.01), details={"threads": 4, "disturbed": ["a neighbour"]})
    few = measured("int4", metric("latency_median_s", 0.1, n=1))
    lacking = replace(measured("int2", None), missing={"latency_median_s": "the clock stood"})
    found = asked([THREE[0], disturbed, few, lacking])
    assert found.winner == "fp32 torch"
    reasons = {cell.candidate.name: cell.why for cell in found.undecided}
    assert reasons == {
        "int8 torch": "median: disturbed: a neighbour",
        "int4 torch": "median: no interval from n=1: measure more (--benchmark-max-time=60)",
        "int2 torch": "median: missing: the clock stood",
    }


def test_a_quiet_figure_is_taken_before_a_disturbed_one_and_two_make_the_wider_interval():
    noisy = measured("int8", time_of(0.1, 0.01), details={"threads": 4, "disturbed": ["a neighbour"]})
    again = measured("int8", time_of(0.6, 0.02))
    found = asked([*THREE, noisy, replace(again, key="again")])
    figure = next(c.candidate.figures[LATENCY] for c in found.cells if c.candidate.name == "int8 torch")
    assert isinstance(figure, Reading)
    assert (figure.low, figure.value, figure.high) == pytest.approx((0.45, 0.55, 0.62))


def test_figures_of_another_machine_are_not_compared():
    far = measured("int4", time_of(0.1, 0.01), machine={"cpu": "Loud CPU 1", "cores": 4})
    found = asked([*THREE, far])
    assert found.winner == "int8 torch"
    assert [cell.candidate.name for cell in found.undecided] == ["int4 torch"]
    assert "other machine" in found.undecided[0].why


def test_failed_and_skipped_cells_are_told_and_win_nothing():
    failed = replace(measured("int4", time_of(0.1, 0.01)), outcome="failed", reason="floor")
    skipped = replace(
        a_record(), metrics={}, outcome="skipped", reason="no such package", cell={**CELL, "scheme": "int2"}
    )
    found = asked([*THREE, failed, skipped])
    assert found.winner == "int8 torch"
    assert [c.why for c in found.undecided] == ["median: its test failed: floor"]
    assert found.absent == {"int2 torch": "skipped: no such package"}


def test_operations_of_one_cell_are_one_row_and_must_be_named_where_several_have_the_figure():
    decode = [replace(r, operation="decode", key=r.key + "d") for r in THREE]
    with pytest.raises(BenchgateError, match=r"write one of call\.latency_median_s, decode\.latency_median_s"):
        asked([*THREE, *decode])
    found = asked([*THREE, *decode], by=replace(LATENCY, operation="decode"))
    assert [cell.candidate.name for cell in found.cells] == ["fp16 torch", "fp32 torch", "int8 torch"]


def test_where_nobody_says_by_what_the_tasks_first_operation_decides():
    """Not an error: a detector's stages and its inference both have a median, and the summary shows the latter."""
    both = [
        replace(r, operation=name, key=r.key + name, details={**r.details, "task": "detection"})
        for name in ("end_to_end", "inference")
        for r in THREE
    ]
    (found,) = recommend(both, [], None, {}, None)
    assert str(found.by) == "inference median"
    (alone,) = recommend(both[:3], [], None, {}, None)
    assert str(alone.by) == "median"


def test_a_loss_needs_the_reference_and_a_model_with_the_figure():
    found = asked([replace(r, metrics={**r.metrics, "ap": metric("ap", 0.5)}) for r in THREE[1:]], losses=["1%"])
    assert all("no fp32 cell" in cell.why for cell in found.undecided)
    with pytest.raises(BenchgateError, match="no accuracy among its headline metrics"):
        asked(THREE, losses=["1%"])
    with pytest.raises(BenchgateError, match="no cell of model 'eggs'"):
        asked(THREE, model="eggs")


def test_an_estimate_is_never_called_measured():
    packed = [
        replace(r, metrics={**r.metrics, "packed_bytes": metric("packed_bytes", 9, method="estimate")}) for r in THREE
    ]
    found = asked(packed, ["packed_bytes=10"])
    assert found.winner == ""
    assert all(isinstance(c.candidate.figures[Wanted("packed_bytes")], Unknown) for c in found.undecided)
    assert len(found.undecided) == 3


def test_the_front_needs_the_figure_that_is_asked_for():
    loud = [replace(r, details={"threads": 4, "disturbed": ["a neighbour"]}) for r in THREE]
    found = asked(loud)
    assert [cell.beaten_by for cell in found.cells] == [None, None, None]
    front = {cell.candidate.scheme: (cell.beaten_by, cell.surely) for cell in asked(THREE).cells}
    assert front == {"fp32": (("fp16 torch", "int8 torch"), True), "fp16": ((), False), "int8": ((), False)}


def test_a_loss_of_nothing_is_not_asked_to_be_a_gain():
    figures = {"fp32": 0.5, "int8": 0.4}
    records = [
        replace(measured(scheme, time_of(1.0, 0.1), 9 if scheme == "fp32" else 4), key=scheme) for scheme in figures
    ]
    records = [
        replace(r, metrics={**r.metrics, "ap": metric("ap", figures[r.cell["scheme"]], low=0.39, high=0.51)})
        for r in records
    ]
    found = asked(records, losses=["0%"], by=SIZE)
    assert found.winner == "fp32 torch"
    assert found.change is not None
    assert (found.change.looser, found.change.to) == (True, "int8 torch")


@st.composite
def suites(draw: st.DrawFn) -> list[Record]:
    found = []
    for scheme in draw(st.lists(st.sampled_from(["fp32", "fp16", "int8", "int4", "int2"]), min_size=1, unique=True)):
        time = draw(st.none() | st.builds(time_of, st.integers(3, 9), st.sampled_from([0.0, 0.5, 2.0])))
        rough = {"disturbed": ["a neighbour"]} if draw(st.integers(0, 4)) == 0 else {}
        record = measured(scheme, time, draw(st.integers(1, 9)), details={"threads": 4, **rough})
        rss = draw(st.none() | st.integers(1, 9))
        found.append(
            record
            if rss is None
            else replace(record, metrics={**record.metrics, "peak_rss_bytes": metric("peak_rss_bytes", rss)})
        )
    if not any("latency_median_s" in r.metrics for r in found):
        found.append(measured("w4", time_of(5, 0.5)))
    return [
        *found,
        replace(
            measured("w8", time_of(9, 0.5), 9),
            metrics={n: metric(n, 9, low=9, high=9) for n in ("latency_median_s", "size_bytes", "peak_rss_bytes")},
        ),
    ]


bounds = st.lists(st.tuples(st.sampled_from([LATENCY, SIZE, RSS]), st.integers(1, 9), st.booleans()), max_size=3)


def limited(bounds_: Sequence[tuple[Wanted, float, bool]]) -> list[Limit]:
    return [Limit(wanted, bound, most, f"--max {wanted.metric}") for wanted, bound, most in bounds_]


@given(suites(), bounds)
def test_the_winner_keeps_every_limit_and_no_other_that_does_is_better(suite, asked_bounds):
    (found,) = recommend(suite, limited(asked_bounds), LATENCY, {}, None)
    best = {cell.candidate.name: cell for cell in found.cells}.get(found.winner)
    keeping = [cell for cell in found.cells if cell.kept == "yes"]
    assert (best is None) == (keeping == [])
    if best is not None:
        for wanted, bound, most in asked_bounds:
            figure = best.candidate.figures[wanted]
            assert isinstance(figure, Reading)
            assert figure.high <= bound if most else figure.low >= bound
        values = [cell.candidate.figures[LATENCY].value for cell in keeping]
        assert best.candidate.figures[LATENCY].value == min(values)
        assert not any(
            cell.surely for cell in [best] if set(cell.beaten_by or ()) & {c.candidate.name for c in keeping}
        )


@given(suites(), bounds.filter(bool), st.integers(0, 5))
def test_a_looser_limit_never_makes_the_answer_worse(suite, asked_bounds, by):
    (wanted, bound, most), *rest = asked_bounds
    looser = [(wanted, bound + by if most else bound - by, most), *rest]
    before, after = (recommend(suite, limited(b), LATENCY, {}, None)[0] for b in (asked_bounds, looser))
    if before.winner:
        figures = {cell.candidate.name: cell.candidate.figures[LATENCY] for cell in after.cells}
        assert figures[after.winner].value <= figures[before.winner].value


@given(suites(), bounds, st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(suite, asked_bounds, random):
    shuffled = random.sample(suite, len(suite))
    assert recommend(suite, limited(asked_bounds), LATENCY, {}, None) == recommend(
        shuffled, limited(asked_bounds), LATENCY, {}, None
    )


@given(suites(), bounds)
def test_the_change_that_is_told_gives_that_answer(suite, asked_bounds):
    (found,) = recommend(suite, limited(asked_bounds), LATENCY, {}, None)
    if found.change is not None:
        # One limit may be asked twice: they are told apart by their place.
        news = list(found.change.limits)
        changed = [replace(m, bound=next((b for o, b in news if o == m), m.bound)) for m in found.limits]
        if len(set(found.limits)) == len(found.limits):
            assert recommend(suite, changed, LATENCY, {}, None)[0].winner == found.change.to
        assert found.change.to != found.winner
