"""The rows of test_silent_passes.py for which records are all it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchgate.core import Metric
from benchgate.results import Record
from tests.builders import MACHINE, a_record

TIME = "latency_median_s"
OTHER_MACHINE = {"machine": {**MACHINE, "cpu": "Other CPU"}}


def timed(seconds: float, **fields: Any) -> Record:
    return a_record({TIME: seconds}, **fields)


def on(n: int = 1000, sha256: str = "ab", **more: Any) -> dict[str, Any]:
    """Details of a record that was scored on `n` examples."""
    return {"details": {"threads": 4, "data": {"dataset": "d", "sha256": sha256, "n": n, "of": 1000, **more}}}


def against(reference: str) -> dict[str, Any]:
    """Details of a record whose KL is against another cell."""
    data = {"dataset": "d", "n": 9}
    return {"details": {"threads": 4, "fidelity": {"reference": reference, "data": data, "metrics": ["kl_mean"]}}}


@dataclass(frozen=True)
class Stored:
    """Runs that were stored, oldest first (`named`: files that the command names), and one that is measured now.

    `expected` is the kind of finding by metric, "" for the cell. `strict` says whether --gate-strict fails it.
    """

    what: str
    stored: Sequence[Record]
    now: Record
    expected: Mapping[str, str]
    strict: bool = True
    said: str = ""
    named: bool = False


STEPS = [timed(1.19**n) for n in range(10)]
NO_TIMES = a_record({"size_bytes": 9.0})
OBJECT = {"params": {"data": "<tests.Data object at 0x7f0a1b2c3d4e>"}}
OTHER_OBJECT = {"params": {"data": "<tests.Data object at 0x7f0a1b2cffff>"}}

STORED = [
    # 11.1: the newest comparable passed record of a key and metric
    Stored(
        "11.1 slower than before a run on another machine",
        [timed(1), timed(9, **OTHER_MACHINE)],
        timed(9),
        {TIME: "regressed"},
    ),
    Stored(
        "11.1 and one with other threads", [timed(1), timed(9, details={"threads": 1})], timed(9), {TIME: "regressed"}
    ),
    Stored(
        "11.1 and one with other packages", [timed(1), timed(9, packages={"torch": "3"})], timed(9), {TIME: "regressed"}
    ),
    Stored("11.1 and one of another version", [timed(1), timed(9, version="2")], timed(9), {TIME: "regressed"}),
    Stored("11.1 and one with other parameters", [timed(1), timed(9, params={"n": 2})], timed(9), {TIME: "regressed"}),
    Stored(
        "11.1 and one without times",
        [timed(1), NO_TIMES],
        timed(9),
        {TIME: "regressed", "size_bytes": "no longer measured"},
    ),
    Stored("11.1 and one that failed", [timed(1), timed(9, outcome="failed")], timed(9), {TIME: "regressed"}),
    Stored(
        "11.1 and one that was accepted elsewhere",
        [timed(1), timed(9, outcome="accepted", **OTHER_MACHINE)],
        timed(9),
        {TIME: "regressed"},
    ),
    Stored(
        "11.1 what was accepted here is the baseline",
        [timed(1), timed(9, outcome="accepted")],
        timed(9),
        {TIME: "unchanged"},
        strict=False,
    ),
    Stored(
        "11.1 each metric has its own newest run",
        [timed(1), NO_TIMES],
        a_record({TIME: 1.0, "size_bytes": 9.0}),
        {TIME: "unchanged", "size_bytes": "unchanged"},
        strict=False,
    ),
    Stored(
        "11.1 only on other machines",
        [timed(1, **OTHER_MACHINE)],
        timed(9),
        {TIME: "not compared"},
        said="other machine: cpu",
    ),
    # 11.2: data, sample, operation, reference
    Stored(
        "11.2 1000 examples against 5 of another file",
        [a_record({"top1": 0.5}, **on(5, "cd"))],
        a_record({"top1": 0.5}, **on()),
        {"top1": "not compared"},
        said="other data: n 5 -> 1000, sha256 cd -> ab",
    ),
    Stored(
        "11.2 100 examples against 20",
        [a_record({"top1": 0.9}, **on(20))],
        a_record({"top1": 0.5}, **on(100)),
        {"top1": "not compared"},
        said="n 20 -> 100",
    ),
    Stored(
        "11.2 another sample of as many",
        [a_record({"top1": 0.9}, **on(20, seed=0))],
        a_record({"top1": 0.5}, **on(20, seed=1)),
        {"top1": "not compared"},
        said="seed 0 -> 1",
    ),
    Stored(
        "11.2 data that only one tells",
        [a_record({"top1": 0.9})],
        a_record({"top1": 0.5}, **on(20)),
        {"top1": "not compared"},
        said="other data: not told -> dataset d",
    ),
    Stored(
        "11.2 other counts of data that none tells",
        [replace(a_record(), metrics={"top1": Metric(0.5, "1", "higher", 5)})],
        replace(a_record(), metrics={"top1": Metric(0.5, "1", "higher", 1000)}),
        {"top1": "not compared"},
        said="other data: n 5 -> 1000",
    ),
    Stored(
        "11.2 times over other data",
        [timed(1, **on(5))],
        timed(1, **on(1000)),
        {TIME: "not compared"},
        said="n 5 -> 1000",
    ),
    Stored(
        "11.2 another operation",
        [timed(1, operation="prefill")],
        timed(1, operation="decode"),
        {TIME: "not compared"},
        said="other operation: 'prefill' -> 'decode'",
    ),
    Stored(
        "11.2 a KL against another cell",
        [a_record({"kl_mean": 0.1}, **against("a"))],
        a_record({"kl_mean": 0.1}, **against("b")),
        {"kl_mean": "not compared"},
        said="reference a -> b",
    ),
    Stored(
        "11.2 an older run on the same data",
        [a_record({"top1": 0.9}, **on()), a_record({"top1": 0.5}, **on(5))],
        a_record({"top1": 0.5}, **on()),
        {"top1": "regressed"},
    ),
    Stored(
        "11.2 the batch of scoring decides no answer",
        [a_record({"top1": 0.5}, **on(batch=1))],
        a_record({"top1": 0.5}, **on(batch=8)),
        {"top1": "unchanged"},
        strict=False,
    ),
    # 11.5: parameters
    Stored(
        "11.5 objects that show their address",
        [timed(1, **OBJECT)],
        timed(9, **OTHER_OBJECT),
        {"": "not compared"},
        said="parameter data=<tests.Data object> shows an address",
    ),
    Stored(
        "11.5 and be it the same address",
        [timed(1, **OBJECT)],
        timed(1, **OBJECT),
        {"": "not compared"},
        said="give its class a __repr__",
    ),
    Stored(
        "11.5 NaN is NaN", [timed(1, params={"x": math.nan})], timed(9, params={"x": math.nan}), {TIME: "regressed"}
    ),
    # 11.6: the timer
    Stored(
        "11.6 another timer",
        [timed(1, details={"threads": 4, "timer": "time.process_time"})],
        timed(1, details={"threads": 4, "timer": "time.perf_counter"}),
        {TIME: "not compared"},
        said="other timer: 'time.process_time' -> 'time.perf_counter'",
    ),
    Stored(
        "11.6 one that was not recorded",
        [timed(1)],
        timed(1, details={"threads": 4, "timer": "time.perf_counter"}),
        {TIME: "not compared"},
        said="other timer: not recorded -> ",
    ),
    Stored(
        "11.6 memory depends on no timer",
        [a_record({"peak_rss_bytes": 1.0})],
        a_record({"peak_rss_bytes": 2.0}, details={"threads": 4, "timer": "x"}),
        {"peak_rss_bytes": "regressed"},
    ),
    # 11.8: drift
    Stored("11.8 ten times 19 % slower", STEPS, timed(1.19**10), {TIME: "drifted"}, said="in small steps"),
    Stored("11.8 the second time already", STEPS[:2], timed(1.19**2), {TIME: "drifted"}),
    Stored("11.8 once is within the tolerance", STEPS[:1], timed(1.19), {TIME: "unchanged"}, strict=False),
    Stored(
        "11.8 an improvement lost in small steps", [timed(2), timed(1), timed(1.19)], timed(1.19**2), {TIME: "drifted"}
    ),
    Stored(
        "11.8 what was accepted is no drift",
        [timed(1), timed(1.3, outcome="accepted")],
        timed(1.5),
        {TIME: "unchanged"},
        strict=False,
    ),
    Stored(
        "11.8 runs elsewhere are no anchor",
        [timed(1, **OTHER_MACHINE), timed(9)],
        timed(9),
        {TIME: "unchanged"},
        strict=False,
    ),
    Stored(
        "11.8 files that are named count by their median",
        STEPS[:3],
        timed(1.4),
        {TIME: "unchanged"},
        strict=False,
        named=True,
    ),
    # 11.12: rounding
    Stored(
        "11.12 a KL of 1e-12 where it was 0",
        [a_record({"kl_mean": 0.0})],
        a_record({"kl_mean": 1e-12}),
        {"kl_mean": "unchanged"},
        strict=False,
    ),
]
