"""Inventories: what a project writes down of its machines, and the time and price of a run on them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.executors.inventory import Inventory, Kind, estimate, read_inventory
from tests.builders import a_record

RPI = Kind("rpi5", 2, 0.5)


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def read(text):
        path = tmp_path / "fleet.toml"
        path.write_text(text, encoding="utf-8")
        return read_inventory(path)

    return read


def test_an_inventory_has_its_kinds_in_order(read):
    text = 'address = "h:6379"\ncurrency = "EUR"\n[kinds.rpi5]\nmachines = 2\nprice = 0.5\n[kinds.epyc-9]\n'
    assert read(text) == Inventory("h:6379", "EUR", (RPI, Kind("epyc-9", 1, None)))


def test_the_address_is_rays_where_none_is_said(read, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "there:1")
    assert read("[kinds.a]\n").address == "there:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kinds = [", "no TOML"),
        ("", "names no kind of machine; write "),
        ("kinds = 3", "names no kind of machine"),
        ("[kinds]", "names no kind of machine"),
        ("adress = 'x'\n[kinds.a]", "unknown entry 'adress'; did you mean 'address'"),
        ("address = 3\n[kinds.a]", "address must be a text, got 3"),
        ("[kinds]\na = 3", r"\[kinds.a\]: must be a table"),
        ("[kinds.a]\nmachine = 2", "unknown entry 'machine'; did you mean 'machines'"),
        ("[kinds.a]\nmachines = 0", "machines must be a whole number from 1 on, got 0"),
        ("[kinds.a]\nmachines = true", "machines must be a whole number from 1 on, got True"),
        ("[kinds.a]\nprice = -1", "price must be a number from 0 on, got -1"),
        ("[kinds.a]\nprice = nan", "price must be a number from 0 on, got nan"),
        ('[kinds."a/b"]', "a kind's name has letters, digits"),
    ],
)
def test_what_means_nothing_is_named(read, text, said):
    with pytest.raises(DataError, match=said):
        read(text)


def test_a_file_that_is_not_there_says_how_to_write_one(tmp_path):
    with pytest.raises(DataError, match=r"no\.toml.*\[kinds.rpi5\] with machines = 4"):
        read_inventory(tmp_path / "no.toml")


def took(key, seconds, kind=None):
    record = a_record(key=key, details={"test_s": seconds})
    return replace(record, machine={**record.machine, **({"kind": kind} if kind else {})})


def test_what_this_kind_took_goes_before_what_others_took_and_the_newest_before_the_oldest():
    records = [took("a", 10.0, "rpi5"), took("b", 3.0), took("a", 20.0, "rpi5"), took("a", 1.0, "epyc"), took("c", 0)]
    found = estimate(RPI, ["a", "b", "c"], records, "test_s")
    assert (found.cells, found.own, found.other, found.unknown) == (3, 1, 1, 1)
    # On two machines the longest alone.
    assert found.seconds == 20.0
    assert found.cost == pytest.approx(0.5 * 2 * 20 / 3600)


def test_the_longest_is_begun_first():
    records = [took(str(n), seconds) for n, seconds in enumerate([1.0, 1.0, 1.0, 3.0])]
    assert estimate(RPI, ["0", "1", "2", "3"], records, "test_s").seconds == 3.0


@pytest.mark.parametrize(("price", "records"), [(None, [took("a", 1.0)]), (0.5, [])])
def test_what_is_not_known_is_no_zero(price, records):
    assert estimate(Kind("k", 1, price), ["a"], records, "test_s").cost is None


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=30), st.integers(1, 8))
def test_machines_share_the_work(times, machines):
    """Never below the mean load or the longest test, at most 4/3 of the best (Graham 1969)."""
    tests = [str(n) for n in range(len(times))]
    records = [took(test, seconds) for test, seconds in zip(tests, times, strict=True)]
    seconds = estimate(Kind("k", machines, None), tests, records, "test_s").seconds
    least = max(sum(times) / machines, *times)
    assert least * (1 - 1e-9) <= seconds <= sum(times) / machines + max(times) + 1e-6
