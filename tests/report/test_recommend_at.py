"""What a recommendation is asked at: the sizes that are named, all others at their defaults."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchgate.core import BenchgateError
from tests.report.recommending import LATENCY, THREE, asked, time_of


def test_parameters_are_chosen_by_at():
    longer = [replace(r, params={"context": c}, key=f"{r.key}{c}") for r in THREE for c in (32, 512)]
    assert asked([*THREE, *longer]).winner == "int8 torch"
    with pytest.raises(BenchgateError, match="say which with --at"):
        asked(longer)
    assert asked(longer, at={"context": "512"}).winner == "int8 torch"


def test_a_default_that_was_left_out_is_found_by_at():
    """A language model's decode without `context` was measured at 128."""
    of = {"details": {"task": "causal-lm"}, "operation": "decode"}
    plain, long = ([replace(r, params=p, key=f"{r.key}{p}", **of) for r in THREE] for p in ({}, {"context": 512}))
    assert asked([*plain, *long], at={"context": "128"}).winner == "int8 torch"
    assert asked([*plain, *long], at={"context": "512"}).winner == "int8 torch"
    assert not asked([*plain, *long], at={"context": "64"}).winner


def test_what_at_does_not_name_is_at_its_default():
    of = {"details": {"task": "causal-lm"}, "operation": "decode"}
    plain, four = ([replace(r, params=p, key=f"{r.key}{p}", **of) for r in THREE] for p in ({}, {"batch": 4}))
    four = [replace(r, metrics={**r.metrics, "latency_median_s": time_of(9.0, 0.1)}) for r in four]
    for at in ({"context": "128"}, {"batch": "1"}):
        (best,) = [cell for cell in asked([*plain, *four], at=at).cells if cell.candidate.name == "int8 torch"]
        assert best.candidate.reading(LATENCY).value == 0.5
    assert asked([*plain, *four], at={"batch": "4"}).cells


def test_a_default_that_was_written_out_is_the_one_that_was_left_out():
    of = {"details": {"task": "causal-lm"}, "operation": "decode"}
    mixed = [replace(r, params=params, **of) for r, params in zip(THREE, ({}, {"context": 128}, {}), strict=True)]
    for at in ({}, {"context": "128"}):
        found = asked(mixed, at=at)
        assert (found.winner, found.next) == ("int8 torch", "fp16 torch")
