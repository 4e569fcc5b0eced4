"""The folder of saved baselines: whole files only, names that stay, one promoted, pruning that spares it."""

from __future__ import annotations

import errno
import os

import pytest

from benchgate.core import BenchgateError, DataError, UnknownName
from benchgate.gate.saved import Run, Saved
from benchgate.gate.shelf import POINTER, Shelf
from tests.builders import a_record

GREEN = a_record({"size_bytes": 1.0})


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "baselines")


def add(shelf, name, saved="2026-01-01"):
    return shelf.add(Saved(1, name, saved, "abc", False, (Run("1.json", "", 1),)), [GREEN])


def test_it_lies_in_the_project_that_one_stands_in(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.benchgate.gate]\n")
    inner = tmp_path / "src" / "deep"
    inner.mkdir(parents=True)
    assert Shelf.of(inner).folder == tmp_path / ".benchmarks" / "baselines"


def test_pytest_benchmark_takes_none_for_a_stored_run(shelf):
    """It globs for *.json one folder below its own, and a name may begin with four digits."""
    assert add(shelf, "0001_x").suffix != ".json"


def test_a_name_stays_what_it_was(shelf):
    path = add(shelf, "v1")
    before = path.read_text()
    with pytest.raises(BenchgateError, match=f"baseline 'v1' exists: {path}; give another name"):
        add(shelf, "v1", "later")
    assert path.read_text() == before


def test_a_full_disk_leaves_nothing_half_written(shelf, monkeypatch):
    add(shelf, "v1")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"v2.baseline: cannot be written .No space left on device.; free some space"):
        add(shelf, "v2")
    with pytest.raises(DataError, match="PROMOTED: cannot be written"):
        shelf.promote("v1")
    assert [path.name for path in shelf.folder.iterdir()] == ["v1.baseline"]


def test_a_name_that_is_not_there_has_near_matches(shelf):
    add(shelf, "v1.2")
    with pytest.raises(UnknownName, match=r"unknown baseline 'v1.3'; did you mean 'v1.2'.*benchgate baseline list"):
        shelf.promote("v1.3")
    assert shelf.promoted() is None


def test_the_promoted_one_has_its_records_and_an_identity_of_its_content(shelf):
    add(shelf, "v1")
    add(shelf, "v2", "later")
    shelf.promote("v1")
    first = shelf.promoted()
    assert (first.name, first.commit, list(first.records)) == ("v1", "abc", [GREEN])
    shelf.promote("v2")
    second = shelf.promoted()
    assert second.name == "v2"
    assert second.identity.partition("@")[2] != first.identity.partition("@")[2]


def test_a_broken_baseline_cannot_be_promoted(shelf):
    add(shelf, "v1")
    add(shelf, "v2").write_text("{")
    shelf.promote("v1")
    with pytest.raises(DataError, match="baseline 'v2' is broken"):
        shelf.promote("v2")
    assert shelf.promoted_name() == "v1"


def test_a_promoted_one_that_was_changed_or_removed_is_refused(shelf):
    path = add(shelf, "v1")
    shelf.promote("v1")
    path.write_text(path.read_text().replace("1.0", "9.0"))
    with pytest.raises(DataError, match=r"'v1' is not what was promoted: .*`benchgate baseline promote NAME`"):
        shelf.promoted()
    path.unlink()
    with pytest.raises(DataError, match=r"'v1' is gone: .*`benchgate baseline promote NAME`"):
        shelf.promoted()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "5", "{}", '{"name": "v1"}', '{"name": 5, "sha256": "x"}',
     '{"name": "../v1", "sha256": "x"}',     '{"name": null, "sha256": "x"}', "[" * 100000, "\ud800"],
)  # fmt: skip
def test_a_broken_pointer_is_refused_with_the_next_command(shelf, text):
    add(shelf, "v1")
    (shelf.folder / POINTER).write_bytes(text.encode("utf-8", "surrogatepass"))
    for call in (shelf.promoted, lambda: shelf.prune(0)):
        with pytest.raises(DataError, match="`benchgate baseline promote NAME`"):
            call()
    assert shelf.names() == ["v1"]


def test_pruning_keeps_the_newest_the_promoted_and_the_broken(shelf):
    for day in range(1, 6):
        add(shelf, f"v{day}", f"2026-01-0{day}")
    shelf.promote("v1")
    add(shelf, "odd").write_text("{")
    gone, broken = shelf.prune(2)
    assert gone == ["v2", "v3"]
    assert len(broken) == 1
    assert "'odd' is broken" in broken[0]
    assert shelf.names() == ["odd", "v1", "v4", "v5"]
    assert shelf.prune(0)[0] == ["v4", "v5"]
    assert shelf.promoted().name == "v1"


def test_files_of_other_names_are_passed_over(shelf):
    add(shelf, "v1")
    (shelf.folder / ".hidden.baseline").write_text("{")
    (shelf.folder / "a b.baseline").write_text("{")
    (shelf.folder / "folder.baseline").mkdir()
    assert shelf.names() == ["v1"]
