"""The way of loading: chosen, refused, handed to the runtime, and told in the record's parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from benchgate.core import LOAD_WAYS, Cell, Scheme, UnknownName, runtimes
from benchgate.core.metrics import GROUPS, Row
from benchgate.gate.comparable import comparable
from benchgate.machine.devices import devices
from benchgate.measuring import resolved
from benchgate.measuring.held import Held
from benchgate.measuring.resolved import WAY, Resolved, chosen, ways
from tests.builders import a_record

CELL = Cell("null", "none", "spin", "cpu")


@dataclass(frozen=True)
class Plain:
    """A runtime as third parties have it: its `load` knows of no way."""

    name: str = "plain"
    format: str = "text"
    needs: dict = field(default_factory=dict)

    def missing(self, device):
        return None

    def load(self, path, model, device, threads):
        return ("plain", threads)


@dataclass(frozen=True)
class Choosing(Plain):
    ways: ClassVar = ("read", "mmap")

    def load(self, path, model, device, threads, way="the default"):
        return (way, threads)


def _of(runtime, way=""):
    return Resolved(CELL, object(), Scheme("fp32", 32, "float"), runtime, devices["cpu"], object(), way)


@pytest.mark.parametrize(("way", "given"), [("", "the default"), ("mmap", "mmap"), ("read", "read")])
def test_the_runtime_is_given_the_way_that_was_chosen_and_none_else(way, given):
    assert _of(Choosing(), way).session(Path("a"), 3) == (given, 3)


def test_a_runtime_without_a_choice_is_loaded_as_ever_and_refuses_one():
    assert _of(Plain()).session(Path("a"), 2) == ("plain", 2)
    assert _of(Plain()).missing() is None
    assert ways(Plain()) == ()
    said = _of(Plain(), "mmap").missing()
    assert said.startswith("plain has no choice of loading; --cell-load mmap is for ")
    assert "torch" in said


def test_a_way_is_for_the_cpu():
    on_gpu = replace(_of(Choosing(), "mmap"), device=replace(devices["cpu"], name="cuda"))
    assert on_gpu.missing() == "weights go to the memory of cuda however they are read; --cell-load is for the cpu"


def test_an_unknown_way_names_those_there_are():
    with pytest.raises(UnknownName, match=r"unknown way of loading 'map'; did you mean 'mmap'.*mmap, read"):
        chosen(Choosing(), "map")


def test_our_runtimes_have_both_ways_and_their_default_first():
    firsts = {name: ways(runtimes[name])[:1] for name in ("torch", "ggml", "litert", "onnxruntime", "ctranslate2")}
    assert firsts == {
        "torch": ("mmap",), "ggml": ("mmap",), "litert": ("mmap",), "onnxruntime": ("read",), "ctranslate2": (),
    }  # fmt: skip
    assert all(set(ways(runtimes[name])) == set(LOAD_WAYS) for name in firsts if firsts[name])


@pytest.mark.parametrize("group", GROUPS)
def test_a_figure_of_one_way_is_never_compared_with_another(group):
    row = Row("spam", "1", "lower", group, "spam")
    stored = a_record(params={"batch": 1})
    same = a_record(params={"batch": 1, **_of(Choosing()).shown})
    other = a_record(params={"batch": 1, **_of(Choosing(), "mmap").shown})
    assert comparable(row, same, stored) is None
    assert f"{WAY} not recorded -> mmap" in comparable(row, other, stored)


def test_a_held_cell_of_another_way_is_loaded_again(monkeypatch):
    held, loaded = Held(), []

    def load(of, threads):
        loaded.append(of.way)
        return held.loaded

    monkeypatch.setattr(held, "load", load)
    held.loaded = type("L", (), {"of": _of(Choosing(), "read"), "threads": 1})()
    held.open(_of(Choosing(), "read"), 1)
    assert loaded == []
    held.open(_of(Choosing(), "mmap"), 1)
    assert loaded == ["mmap"]


def test_partial_results_of_one_way_are_not_taken_up_by_another(monkeypatch, tmp_path):
    """A way may choose other kernels, whose scores are others."""
    built = SimpleNamespace(path=tmp_path, digest="d" * 64, content="weights:1")
    monkeypatch.setattr(resolved, "opened", lambda *parts: (built, SimpleNamespace()))
    default, read = (_of(Choosing(), way).load(1).session.identity for way in ("", "mmap"))
    assert default != read
    assert read == f"{default}-mmap"
