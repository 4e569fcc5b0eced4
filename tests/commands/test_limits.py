"""The command line of `benchgate limits`."""

from __future__ import annotations

import argparse

import pytest

from benchgate.commands import limits
from benchgate.core import BenchgateError
from benchgate.executors.limits import Wanted


def parsed(*options):
    parser = argparse.ArgumentParser()
    limits.add_arguments(parser)
    return limits.parse_wanted(parser.parse_args(["m-fp32-r-cpu", *options]))


def test_an_axis_and_its_budgets():
    wanted, second = parsed(
        "--axis", "new-tokens", "--set", "context=64", "--memory", "2GiB", "--latency", "200ms", "--threads", "1"
    )
    assert second is None
    assert wanted == Wanted("new_tokens", None, {"context": 64}, 2 * 2**30, 0.2, 1)


def test_a_second_axis_with_values():
    assert parsed("--axis", "batch", "--axis", "context=64,128")[1] == ("context", [64, 128])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--axis", "batch", "--memory", "much"], "memory limit 'much' is no size"),
        (["--axis", "batch", "--latency", "fast"], "latency 'fast' is no time"),
        (["--axis", "batch", "--latency", "0ms"], "latency '0ms' is no time"),
        (["--axis", "batch=1", "--axis", "threads"], "one axis, or two of which the second has values"),
        (["--axis", "batch", "--axis", "context=4", "--axis", "threads=2"], "one axis, or two"),
        (["--axis", "batch", "--axis", "context=4", "--plot", "x.png"], "--plot draws one axis"),
        (["--axis", "batch", "--axis", "context=many"], "values must be whole numbers"),
        (["--axis", "batch", "--set", "threads"], "write NAME=N"),
        (["--axis", "batch", "--trials", "0"], "--trials and --threads must be at least 1"),
        (["--axis", "batch", "--timeout", "0"], "--timeout above 0"),
    ],
)
def test_what_cannot_be_searched_is_said(options, told):
    with pytest.raises(BenchgateError, match=told):
        parsed(*options)
