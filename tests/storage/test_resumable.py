"""Partial results: on disk after sync, found again under the same key, never half of one."""

from __future__ import annotations

import json

import pytest

from benchgate.storage.cache import CacheError
from benchgate.storage.resumable import Resumable, take_up


@pytest.fixture(autouse=True)
def taking_up():
    take_up(True)
    yield
    take_up(False)


def test_without_being_asked_a_loop_begins_anew():
    with Resumable("key") as saved:
        saved["a"] = 1
    take_up(False)
    with Resumable("key") as again:
        assert dict(again) == {}
    take_up(True)
    with Resumable("key") as third:
        assert dict(third) == {}, "what another run left is not taken up a run later"


def test_two_at_the_same_loop_do_not_share_a_file(benchgate_cache):
    with Resumable("key") as ours:
        ours["a"] = 1
        ours.sync()
        with Resumable("key") as theirs:
            assert dict(theirs) == {}
            theirs["b"] = 2
            theirs.discard()
        assert ours.path.exists()
    with Resumable("key") as again:
        assert dict(again) == {"a": 1}


def test_what_was_synced_is_there_after_a_crash():
    saved = Resumable("key").__enter__()
    saved["a"] = [0.1, 1]
    saved.sync()
    saved["b"] = [0.2, 2]  # never synced: the process dies here
    del saved
    with Resumable("key") as again:
        assert dict(again) == {"a": [0.1, 1]}


def test_leaving_by_an_exception_keeps_what_was_made():
    def loop():
        with Resumable("key") as saved:
            saved["a"] = 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop()
    with Resumable("key") as again:
        assert dict(again) == {"a": 1}


@pytest.mark.parametrize("other", ["other", ["key"], {"key": 1}, 1])
def test_another_key_sees_nothing_of_it(other):
    with Resumable("key") as saved:
        saved["a"] = 1
    with Resumable(other) as another:
        assert len(another) == 0


def test_the_order_in_the_key_does_not_matter():
    assert Resumable({"a": 1, "b": 2}).path == Resumable({"b": 2, "a": 1}).path


def test_discard_forgets_and_leaves_no_file(benchgate_cache):
    with Resumable("key") as saved:
        saved["a"] = 1
        saved.sync()
        saved["b"] = 2
        saved.discard()
    assert not any((benchgate_cache / "partial").iterdir())


@pytest.mark.parametrize("cut", [1, 5, 10, len('{"c": 3}')])
def test_a_line_that_was_cut_is_made_again_and_what_follows_is_kept(cut):
    with Resumable("key") as saved:
        for name, value in (("a", 1), ("b", 2)):
            saved[name] = value
            saved.sync()
    with saved.path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"c": 3})[:cut])
    with Resumable("key") as again:
        assert dict(again) == {"a": 1, "b": 2}
        again["d"] = 4
    with Resumable("key") as third:
        assert dict(third) == {"a": 1, "b": 2, "d": 4}


def test_a_file_of_something_else_is_passed_over():
    path = Resumable("key").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"[1, 2]\n\xff\xfe\n")
    with Resumable("key") as saved:
        assert dict(saved) == {}


def test_deleting_an_item_that_is_not_yet_on_disk_is_no_error_at_the_end():
    with Resumable("key") as saved:
        saved["a"] = 1
        saved["b"] = 2
        del saved["a"]
        assert list(saved) == ["b"]
    with Resumable("key") as again:
        assert dict(again) == {"b": 2}


def test_floats_come_back_to_the_last_digit():
    values = [0.1 + 0.2, 1e-320, 12345.678901234567]
    with Resumable("key") as saved:
        saved["a"] = values
    with Resumable("key") as again:
        assert again["a"] == values


def test_a_cache_that_cannot_be_written_is_named(benchgate_cache):
    benchgate_cache.write_text("a file where the folder should be")
    with pytest.raises(CacheError, match="set BENCHGATE_CACHE"), Resumable("key") as saved:
        saved["a"] = 1
