"""Accuracy made of shards: only of the same model, data, threads and packages, and never of less than all."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from benchgate.core import BenchgateError, Cell
from benchgate.core.shards import WHOLE, Shard
from benchgate.machine.fingerprint import fingerprint as sharded_fingerprint
from benchgate.measuring import sharded
from benchgate.measuring.sharded import Part, accuracy, fits, part


class Data(tuple):
    """Numbers; their sum is the metric."""

    def describe(self):
        return {"dataset": "numbers", "n": len(self)}


class Summing:
    name = "summing"

    def answers(self, session, model, data, shard):
        return {str(place): data[place] * session for place in shard.takes(range(len(data)))}

    def summed(self, session, model, data, answers):
        return {"sum": sum(answers[str(place)] for place in range(len(data)))}

    def score(self, session, model, data):
        return self.summed(session, model, data, self.answers(session, model, data, WHOLE))


class Plain:
    name = "plain"

    def score(self, session, model, data):
        return {"sum": sum(data)}


def held(tmp_path, task, session=3, threads=2, version="1", way=""):
    """A loaded cell, and how it is held."""
    model = SimpleNamespace(version=version)
    of = SimpleNamespace(
        cell=Cell("m", "fp32", "r", "cpu"), model=model, runtime=SimpleNamespace(needs={}), task=task, way=way
    )  # fmt: skip
    loaded = SimpleNamespace(of=of, session=session, threads=threads, path=tmp_path)
    return of, loaded, SimpleNamespace(load=lambda of, threads: loaded)


def whole(tmp_path, data, **options):
    """The parts of all shards as one, as a driver sends it."""
    of, loaded, holder = held(tmp_path, Summing(), **options)
    parts = [part(holder, of, loaded.threads, data, Shard(number, 3)) for number in range(3)]
    assert all(one.about == parts[0].about for one in parts)
    answers = {name: answer for one in parts for name, answer in one.answers.items()}
    return Part(**json.loads(json.dumps(asdict(Part(parts[0].about, answers)))))


def test_shards_sum_to_what_is_scored_whole(tmp_path):
    data = Data([0.1, 0.2, 0.3, 0.7])
    _, loaded, _ = held(tmp_path, Summing())
    assert accuracy(loaded, data, whole(tmp_path, data)) == accuracy(loaded, data)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threads": 4}, "other threads: 4 -> 2"),
        ({"version": "2"}, "other version: 2 -> 1"),
        ({"way": "mmap"}, "other way: mmap -> "),
    ],
)
def test_shards_of_something_else_than_what_is_timed_are_refused(tmp_path, options, said):
    data = Data([1, 2, 3])
    _, loaded, _ = held(tmp_path, Summing())
    given = whole(tmp_path, data, **options)
    with pytest.raises(BenchgateError, match=f"its shards were scored with something else than .*: {said}"):
        accuracy(loaded, data, given)
    assert not fits(given, loaded, data)
    assert fits(whole(tmp_path, data), loaded, data)


def test_shards_of_another_processor_are_refused(tmp_path, monkeypatch):
    """Other kernels, other last digits: of a fleet without kinds."""
    data = Data([1, 2, 3])
    given = whole(tmp_path, data)
    _, loaded, _ = held(tmp_path, Summing())
    other = {**sharded.fingerprint("cpu"), "cpu": "another one"}
    monkeypatch.setattr(sharded, "fingerprint", lambda device: other)
    with pytest.raises(BenchgateError, match=r"other machine: .* -> .*another one"):
        accuracy(loaded, data, given)
    monkeypatch.setattr(sharded, "fingerprint", lambda device: {**sharded_fingerprint(device), "memory_gib": 1})
    assert accuracy(loaded, data, given) == accuracy(loaded, data)


def test_shards_of_a_task_that_scores_otherwise_by_now_are_refused(tmp_path, monkeypatch):
    """An interrupted run is resumed after its code was changed."""
    data = Data([1, 2, 3])
    given = whole(tmp_path, data)
    _, loaded, _ = held(tmp_path, Summing())
    monkeypatch.setattr(sharded, "sources", lambda modules: [(name, "changed") for name in modules])
    with pytest.raises(BenchgateError, match="other sources"):
        accuracy(loaded, data, given)


def test_shards_of_other_data_are_refused(tmp_path):
    _, loaded, _ = held(tmp_path, Summing())
    with pytest.raises(BenchgateError, match="other data"):
        accuracy(loaded, Data([1, 2, 3, 4]), whole(tmp_path, Data([1, 2, 3])))


def test_a_shard_that_is_missing_is_no_smaller_sum(tmp_path):
    data = Data([1, 2, 3])
    _, loaded, _ = held(tmp_path, Summing())
    given = whole(tmp_path, data)
    with pytest.raises(KeyError):
        accuracy(loaded, data, Part(given.about, {"0": 3}))


def test_a_task_that_is_scored_as_a_whole_says_so(tmp_path):
    of, loaded, holder = held(tmp_path, Plain())
    with pytest.raises(BenchgateError, match="plain has no answers and summed: its data are scored as a whole"):
        part(holder, of, 2, Data([1]), WHOLE)
    assert accuracy(loaded, Data([1, 2])).metrics == {"sum": 3}
