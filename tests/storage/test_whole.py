"""Small files that are written whole or not at all."""

from __future__ import annotations

import os
import sys

import pytest

from benchgate.storage.whole import write_whole


def test_a_file_is_written_into_a_folder_that_is_made_and_replaced(tmp_path):
    path = tmp_path / "new" / "file.json"
    write_whole(path, "ä\n")
    write_whole(path, "b\n")
    assert path.read_bytes() == b"b\n"
    assert [found.name for found in path.parent.iterdir()] == ["file.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes as POSIX has them")
def test_its_mode_is_that_of_any_other_file(tmp_path):
    (tmp_path / "other").write_text("")
    write_whole(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_where_it_cannot_be_written_the_old_one_stays_and_nothing_is_left(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
