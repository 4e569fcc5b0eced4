"""Digests: of contents alone, remembered only as long as nothing tells of a change."""

from __future__ import annotations

import hashlib
import os

import pytest

from benchgate.core import DataError
from benchgate.storage import digests
from benchgate.storage.digests import file_digest, tree_digest


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of the files that are read, every file being large enough to be remembered, and settled."""
    found: list[str] = []
    real = digests.file_sha256

    def counted(path):
        found.append(path.name)
        return real(path)

    monkeypatch.setattr(digests, "file_sha256", counted)
    monkeypatch.setattr(digests, "ALWAYS", 0)
    monkeypatch.setattr(digests, "SETTLED", -1)
    return found


def test_a_large_file_is_read_once(tmp_path, reads):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    assert file_digest(path) == file_digest(path) == hashlib.sha256(b"a" * 100).hexdigest()
    assert reads == ["weights"]


def test_a_small_file_is_read_each_time(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(digests, "ALWAYS", 101)
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    assert file_digest(path) == file_digest(path)
    assert reads == ["weights"] * 2


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(digests, "SETTLED", 10**18)
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    assert file_digest(path) == file_digest(path)
    assert reads == ["weights"] * 2


def _same_length_and_time(path):
    before = path.stat()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _another_in_its_place(path):
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"b" * 100)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize(
    "change",
    [lambda path: path.write_bytes(b"b" * 100), lambda path: path.write_bytes(b"b"), _same_length_and_time,
     _another_in_its_place],
)  # fmt: skip
def test_a_change_is_seen(tmp_path, reads, change):
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)
    os.utime(path, ns=(1, 1))
    before = file_digest(path)
    change(path)
    assert file_digest(path) != before
    assert reads == ["weights"] * 2


@pytest.mark.parametrize("raw", [b"no database at all", b""])
def test_a_broken_memory_costs_time_and_nothing_else(tmp_path, reads, benchgate_cache, raw):
    benchgate_cache.mkdir()
    (benchgate_cache / "digests.sqlite").write_bytes(raw)
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    assert file_digest(path) == hashlib.sha256(b"a").hexdigest()


def test_a_cache_that_cannot_be_made_costs_time_and_nothing_else(tmp_path, reads, benchgate_cache):
    benchgate_cache.write_text("a file")
    path = tmp_path / "weights"
    path.write_bytes(b"a")
    assert file_digest(path) == file_digest(path)
    assert reads == ["weights"] * 2


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "sub" / "b").write_text("2")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda t: (t / "a").write_text("2"),
        lambda t: (t / "sub" / "b").write_text("1"),
        lambda t: (t / "sub" / "b").rename(t / "sub" / "c"),
        lambda t: (t / "sub" / "b").rename(t / "b"),
        lambda t: (t / "c").write_text(""),
        lambda t: (t / "a").unlink(),
    ],
)
def test_a_folder_is_its_names_and_contents(tree, change):
    before = tree_digest(tree)
    assert tree_digest(tree) == before
    change(tree)
    assert tree_digest(tree) != before


def test_a_folder_is_the_same_wherever_it_lies_and_without_what_is_hidden(tree, tmp_path):
    before = tree_digest(tree)
    (tree / ".git").mkdir()
    (tree / ".git" / "HEAD").write_text("x")
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "a.pyc").write_text("x")
    assert tree_digest(tree.rename(tmp_path / "moved")) == before


def test_a_link_counts_as_what_it_points_to(tree, tmp_path):
    """As in the hub's cache, where each file of a snapshot is a link."""
    before = tree_digest(tree)
    (tree / "a").rename(tmp_path / "blob")
    (tree / "a").symlink_to(tmp_path / "blob")
    assert tree_digest(tree) == before


def test_too_many_files_and_a_missing_one_are_said(tree, monkeypatch):
    with pytest.raises(DataError, match="gone: cannot be read"):
        file_digest(tree / "gone")
    monkeypatch.setattr(digests, "MAX_FILES", 1)
    with pytest.raises(DataError, match="2 files; at most 1 are hashed: name the folder that counts"):
        tree_digest(tree)
