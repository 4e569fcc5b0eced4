"""`benchgate cache`: what it shows of artifacts, and that it removes what was asked for, never through a link."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import filelock
import pytest

from benchgate.commands import main as cli
from benchgate.storage.building import MANIFEST, make
from benchgate.storage.cache import CacheError

KEY = {"model": {"name": "m", "version": "1", "values": {}, "files": {}, "sources": {"zoo": "a" * 64}, "packages": {}}}


def built(label: str, weights: str = "1" * 64, source: str = "a" * 64, size: int = 1000) -> Path:
    def build(out: Path) -> dict[str, str]:
        (out / "weights.bin").write_bytes(b"w" * size)
        return {"weights": weights}

    key = json.loads(json.dumps(KEY).replace("a" * 64, source))
    return make(label, key, build).path


def said(capsys) -> str:
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")


def test_list_shows_size_age_content_and_state(capsys):
    path, damaged = built("m-fp32-torch"), built("n-fp32-torch", size=2000)
    (damaged / "weights.bin").write_bytes(b"")
    assert cli.main(["cache", "list"]) == 0
    lines = said(capsys).splitlines()
    assert "2 artifacts, 1 kB" in lines[0]
    (row,) = [line for line in lines if path.name in line]
    assert row.split()[1:] == ["1", "kB", "0", "seconds", "weights:" + "1" * 16, "good"]
    (row,) = [line for line in lines if damaged.name in line]
    assert "weights.bin changed since it was built" in row


def test_an_empty_cache_is_listed_and_not_made(capsys, benchgate_cache):
    assert cli.main(["cache", "list"]) == 0
    assert "0 artifacts" in said(capsys)
    assert not benchgate_cache.exists()


def test_why_says_what_an_artifact_consists_of_and_how_two_of_one_name_differ(capsys):
    older, newer = built("m-fp32-torch"), built("m-fp32-torch", weights="2" * 64, source="b" * 64)
    assert cli.main(["cache", "why", "m-fp32-torch"]) == 0
    text = said(capsys)
    assert f"m-fp32-torch: {newer.name}, built 0 seconds ago, weights:{'2' * 16}" in text
    assert "  model sources zoo: bbbbbbbbbbbb\n" in text
    assert f"  {older.name}, built 0 seconds ago, weights:{'1' * 16}, differs in\n" in text
    assert text.splitlines()[-2:] == [
        "    model sources zoo: aaaaaaaaaaaa -> bbbbbbbbbbbb",
        "    weights: 111111111111 -> 222222222222",
    ]


@pytest.mark.parametrize("action", [["why", "m-fp32-torhc"], ["clear", "m-fp32-torhc"], ["clear", "../m"]])
def test_an_unknown_name_is_answered_with_near_ones(capsys, action):
    path = built("m-fp32-torch")
    assert cli.main(["cache", *action]) == 2
    assert "unknown artifact" in (error := capsys.readouterr().err)
    assert "known: m-fp32-torch; see `benchgate cache list`" in error
    assert path.exists()


@pytest.mark.parametrize("names", [[], ["m-fp32-torch", "--all"]])
def test_clear_needs_a_name_or_all(capsys, names):
    path = built("m-fp32-torch")
    assert cli.main(["cache", "clear", *names]) == 2
    assert "needs names, --all or --leftovers, and only one" in capsys.readouterr().err
    assert path.exists()


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("m-fp32-torch", {"m-fp32-torch"}),
        ("m-*", {"m-fp32-torch", "m-int8-torch"}),
        ("*", {"m-fp32-torch", "m-int8-torch", "n-fp32-torch"}),
    ],
)
def test_clear_removes_what_is_named(capsys, name, gone):
    paths = {label: built(label) for label in ("m-fp32-torch", "m-int8-torch", "n-fp32-torch")}
    assert cli.main(["cache", "clear", name]) == 0
    assert {label for label, path in paths.items() if not path.exists()} == gone
    assert " free" in said(capsys)


def test_clear_by_the_whole_name_leaves_the_other_of_its_label():
    one, other = built("m-fp32-torch"), built("m-fp32-torch", source="b" * 64)
    assert cli.main(["cache", "clear", one.name]) == 0
    assert (one.exists(), other.exists()) == (False, True)


def test_all_removes_ours_and_nothing_else(benchgate_cache):
    built("m-fp32-torch")
    (benchgate_cache / "partial").mkdir()
    (benchgate_cache / "holiday.jpg").write_bytes(b"x")
    assert cli.main(["cache", "clear", "--all"]) == 0
    assert [path.name for path in benchgate_cache.iterdir()] == ["holiday.jpg"]


def test_links_are_never_followed(tmp_path, benchgate_cache):
    """A link in an artifact, one in place of an artifact, one in place of a part of the cache."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    path = built("m-fp32-torch")
    (path / "link").symlink_to(outside)
    (path.parent / "n-fp32-torch-0123456789ab").symlink_to(outside)
    (benchgate_cache / "assets").symlink_to(outside)
    assert cli.main(["cache", "clear", "m-fp32-torch"]) == 0
    assert not path.exists()
    assert cli.main(["cache", "list"]) == 0
    assert cli.main(["cache", "clear", "n-fp32-torch"]) == 2
    assert cli.main(["cache", "clear", "--all"]) == 0
    assert (outside / "precious").read_text() == "x"
    assert not (benchgate_cache / "artifacts").exists()


def test_what_another_process_is_at_stays_and_is_said(capsys):
    path = built("m-fp32-torch")
    with filelock.FileLock(f"{path}.lock"):
        assert cli.main(["cache", "clear", "m-fp32-torch"]) == 1
    assert "another process builds or loads it" in said(capsys)
    assert path.exists()


@pytest.mark.parametrize("text", ["", "null", "[]", "[" * 100_000, '{"key": 1}', "\x00"])
def test_a_broken_manifest_is_listed_explained_and_cleared(capsys, text):
    path = built("m-fp32-torch")
    (path / MANIFEST).write_text(text)
    assert cli.main(["cache", "list"]) == 0
    assert "no readable manifest" in said(capsys)
    assert cli.main(["cache", "why", "m-fp32-torch"]) == 0
    assert cli.main(["cache", "clear", "m-fp32-torch"]) == 0
    assert not path.exists()


def test_leftovers_are_cleared_by_age_and_nothing_else(benchgate_cache, capsys):
    old = time.time() - 2 * 86400
    for name in ("downloads/a.whl.part", "artifacts/x-1.lock", "artifacts/x-1.building/f", "assets/0/fetching/f"):
        path = benchgate_cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
        for changed in (path, path.parent):
            os.utime(changed, (old, old))
    (benchgate_cache / "downloads" / "new.part").write_bytes(b"1")
    (benchgate_cache / "assets" / "0" / "kept.bin").write_bytes(b"1")
    assert cli.main(["cache", "clear", "--leftovers"]) == 0
    left = {str(p.relative_to(benchgate_cache)) for p in benchgate_cache.rglob("*") if p.is_file()}
    assert left == {"downloads/new.part", "assets/0/kept.bin"}
    assert cli.main(["cache", "clear", "--leftovers", "--days", "0"]) == 0
    assert not (benchgate_cache / "downloads" / "new.part").exists()
    assert cli.main(["cache", "clear", "--leftovers", "--days", "nan"]) != 0
    assert "a number from 0 on is needed" in capsys.readouterr().err


def test_an_artifact_of_a_read_only_cache_is_used_and_none_can_be_made(benchgate_cache, monkeypatch):
    path = built("a")

    def refuse(*_, **__):
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert built("a") == path
    with pytest.raises(CacheError, match="set BENCHGATE_CACHE"):
        built("b")
    (path / "weights.bin").unlink()
    with pytest.raises(CacheError, match="set BENCHGATE_CACHE"):
        built("a")
