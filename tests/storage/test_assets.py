"""Assets: fetched once, checked by hash, and said by name with what to do when they cannot be had."""

from __future__ import annotations

import errno
import hashlib
import random
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest

from benchgate.storage import cache, package_index
from benchgate.storage.assets import PackageFile, fetch, state
from benchgate.storage.cache import CacheError
from benchgate.storage.download import FetchError
from benchgate.storage.package_index import IndexSettings
from tests.loopback import sdist, wheel
from tests.storage.spam import CONTENT, MEMBER, asset

WHEEL = "spam_lm-1.0-py3-none-any.whl"
SDIST = "spam_lm-1.0.tar.gz"

FROM_WHEEL = asset(PackageFile("spam-lm", "1.0", MEMBER))
FROM_SDIST = asset(PackageFile("spam-lm", "1.0", f"spam_lm-1.0/{MEMBER}", sdist=True))


@pytest.fixture
def index(site, pip_environment, monkeypatch):
    """The loopback server as the package index of pip's settings, without asking pip each time."""
    settings = IndexSettings(f"{site.url}/simple", trusted_hosts=("127.0.0.1",))
    monkeypatch.setattr(package_index, "pip_settings", lambda: settings)
    return site


def left_behind(benchgate_cache: Path) -> set[str]:
    return {p.name for p in benchgate_cache.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_member_of_a_wheel_is_fetched_once_and_the_wheel_not_kept(index, benchgate_cache):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT, "spam_lm/__init__.py": b"raise SystemExit"}))
    assert state(FROM_WHEEL) == "absent"
    path = fetch(FROM_WHEEL)
    assert (path, path.read_bytes()) == (FROM_WHEEL.path, CONTENT)
    assert state(FROM_WHEEL) == "fetched"
    assert left_behind(benchgate_cache) == {"model.bin"}
    asked = len(index.asked)
    assert fetch(FROM_WHEEL) == path
    assert len(index.asked) == asked


def test_an_sdist_is_read_and_its_setup_never_run(index, tmp_path):
    marker = tmp_path / "setup-was-run"
    files = {
        "spam_lm-1.0/setup.py": f"open({str(marker)!r}, 'w')".encode(),
        "spam_lm-1.0/pyproject.toml": b"[build-system]\nrequires = []\nbuild-backend = 'setup'\nbackend-path = ['.']",
        f"spam_lm-1.0/{MEMBER}": CONTENT,
    }
    index.add_package("spam-lm", SDIST, sdist(files))
    assert fetch(FROM_SDIST).read_bytes() == CONTENT
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../../escaped.bin", "/escaped.bin", "spam_lm/../../../escaped.bin"])
@pytest.mark.parametrize("source", [FROM_WHEEL, FROM_SDIST], ids=["wheel", "sdist"])
def test_other_members_of_an_archive_are_never_unpacked_wherever_they_point(index, tmp_path, name, source):
    members = {name: b"escaped", source.source.member: CONTENT}
    index.add_package("spam-lm", WHEEL, wheel(members))
    index.add_package("spam-lm", SDIST, sdist(members))
    assert fetch(source).read_bytes() == CONTENT
    assert not list(tmp_path.rglob("escaped.bin"))
    assert not Path("/escaped.bin").exists()


def test_even_an_asset_that_names_such_a_member_lands_in_its_own_place(index, benchgate_cache):
    evil = asset(PackageFile("spam-lm", "1.0", "../../model.bin"))
    index.add_package("spam-lm", WHEEL, wheel({"../../model.bin": CONTENT}))
    assert fetch(evil) == benchgate_cache / "assets" / evil.sha256[:16] / "model.bin"


@pytest.mark.parametrize("as_url", [True, False])
def test_the_users_own_pip_settings_reach_a_find_links_folder(pip_environment, tmp_path, as_url):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / WHEEL).write_bytes(wheel({MEMBER: CONTENT}))
    pip_environment.setenv("PIP_NO_INDEX", "1")
    pip_environment.setenv("PIP_FIND_LINKS", wheels.as_uri() if as_url else str(wheels))
    assert fetch(FROM_WHEEL).read_bytes() == CONTENT
    assert (wheels / WHEEL).exists()


def test_a_cut_wheel_is_gone_on_with(index):
    content = wheel({MEMBER: CONTENT, "filler": hashlib.sha256(b"x").digest() * 200})
    index.add_package("spam-lm", WHEEL, content)
    index.cut = len(content) // 2
    with pytest.raises(FetchError, match="try again"):
        fetch(FROM_WHEEL)
    index.cut = None
    assert fetch(FROM_WHEEL).read_bytes() == CONTENT
    assert index.asked[-1] == (f"/files/{WHEEL}", f"bytes={len(content) // 2}-")


def test_a_wheel_of_another_hash_than_the_index_says_is_refused_and_deleted(index, benchgate_cache):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT}), sha256="0" * 64)
    with pytest.raises(FetchError, match=f"cannot fetch asset 'spam' .*{WHEEL}.*expected {'0' * 64}"):
        fetch(FROM_WHEEL)
    assert left_behind(benchgate_cache) == set()


@pytest.mark.parametrize("with_hash", [True, False])
def test_a_corrupt_archive_of_an_earlier_try_is_replaced_or_said(index, benchgate_cache, with_hash):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT}), sha256="" if with_hash else None)
    archive = benchgate_cache / "downloads" / WHEEL
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"half a wheel")
    if not with_hash:
        with pytest.raises(FetchError, match=r"not a readable archive .*; spam_lm.* was deleted"):
            fetch(FROM_WHEEL)
        assert not archive.exists()
    assert fetch(FROM_WHEEL).read_bytes() == CONTENT


def test_an_archive_with_another_member_than_pinned_is_not_kept_though_another_asset_needs_it(
    index, benchgate_cache, monkeypatch
):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: b"something else", "other": b"1"}), sha256=None)
    monkeypatch.setattr(PackageFile, "_needed_again", lambda self: True)
    with pytest.raises(FetchError, match=f"it was deleted.*{WHEEL} was deleted"):
        fetch(FROM_WHEEL)
    assert left_behind(benchgate_cache) == set()


def test_two_assets_of_one_archive_fetched_at_once_both_come(index):
    other = asset(PackageFile("spam-lm", "1.0", "spam_lm/other.bin"), CONTENT[::-1])
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT, "spam_lm/other.bin": CONTENT[::-1]}))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(fetch, [FROM_WHEEL, other]))
    assert [path.read_bytes() for path in found] == [CONTENT, CONTENT[::-1]]


@pytest.mark.parametrize("source", [FROM_WHEEL, FROM_SDIST], ids=["wheel", "sdist"])
def test_a_member_of_more_bytes_than_pinned_is_not_written_out(index, benchgate_cache, source):
    bomb = bytes(50 * len(CONTENT))
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: bomb}))
    index.add_package("spam-lm", SDIST, sdist({f"spam_lm-1.0/{MEMBER}": bomb}))
    with pytest.raises(FetchError, match="more than the 25,600 bytes that are pinned"):
        fetch(source)
    assert all(p.stat().st_size <= len(CONTENT) for p in benchgate_cache.rglob("*") if p.is_file())


def test_an_archive_far_larger_than_its_member_is_refused(index, benchgate_cache):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT, "filler": random.Random(0).randbytes(9000)}))
    small = asset(PackageFile("spam-lm", "1.0", MEMBER, archive_bytes=9000))
    with pytest.raises(FetchError, match="more than the 9,000 bytes that it may have"):
        fetch(small)


def test_a_complete_cache_may_be_read_only(index, monkeypatch):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT}))
    path = fetch(FROM_WHEEL)

    def refuse(*_, **__):
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert fetch(FROM_WHEEL) == path
    path.unlink()
    with pytest.raises(CacheError, match="set BENCHGATE_CACHE"):
        fetch(FROM_WHEEL)


@pytest.mark.parametrize("source", [FROM_WHEEL, FROM_SDIST], ids=["wheel", "sdist"])
def test_a_member_that_is_not_there_is_said_with_the_archive(index, source):
    index.add_package("spam-lm", WHEEL, wheel({"other": b""}))
    index.add_package("spam-lm", SDIST, sdist({"other": b""}))
    with pytest.raises(FetchError, match=f"spam_lm-1.0.* has no file '{source.source.member}'"):
        fetch(source)


def test_a_member_of_another_hash_than_pinned_is_deleted_and_not_trusted(index):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: b"something else"}))
    with pytest.raises(FetchError) as caught:
        fetch(FROM_WHEEL)
    said = str(caught.value)
    assert hashlib.sha256(b"something else").hexdigest() in said
    assert FROM_WHEEL.sha256 in said
    assert "must not be trusted" in said
    assert state(FROM_WHEEL) == "absent"


@pytest.mark.parametrize("damage", [CONTENT[:-1], CONTENT[:-1] + b"?", b""], ids=["short", "one byte", "empty"])
def test_a_corrupt_file_in_the_cache_is_seen_and_fetched_again(index, damage):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT}))
    fetch(FROM_WHEEL).write_bytes(damage)
    assert state(FROM_WHEEL) == "corrupt"
    assert fetch(FROM_WHEEL).read_bytes() == CONTENT


def test_offline_the_asset_its_place_and_the_command_are_said(refused, pip_environment, monkeypatch):
    monkeypatch.setattr(package_index, "pip_settings", lambda: IndexSettings(f"{refused}/simple"))
    with pytest.raises(FetchError) as caught:
        fetch(FROM_WHEEL)
    said = str(caught.value)
    assert "cannot fetch asset 'spam' (package spam-lm==1.0, spam_lm/model.bin)" in said
    assert "With a network: benchgate fetch spam" in said
    assert f"Without: copy the file to {FROM_WHEEL.path} from a machine that has it" in said


def test_the_file_that_was_copied_there_by_hand_is_taken(refused, pip_environment, monkeypatch):
    monkeypatch.setattr(package_index, "pip_settings", lambda: IndexSettings(f"{refused}/simple"))
    FROM_WHEEL.path.parent.mkdir(parents=True)
    FROM_WHEEL.path.write_bytes(CONTENT)
    assert fetch(FROM_WHEEL) == FROM_WHEEL.path


Usage = namedtuple("Usage", "total used free")


def test_a_full_disk_is_said_before_anything_is_asked_for(index, monkeypatch):
    index.add_package("spam-lm", WHEEL, wheel({MEMBER: CONTENT}))
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(0, 0, 2 * len(CONTENT) - 1))
    with pytest.raises(CacheError, match=r"disk full: .*set BENCHGATE_CACHE to a folder on another disk"):
        fetch(FROM_WHEEL)
    assert index.asked == []


def test_a_cache_that_cannot_be_made_is_named(index, benchgate_cache):
    benchgate_cache.write_text("a file")
    with pytest.raises(CacheError, match=f"cannot write {benchgate_cache}.*set BENCHGATE_CACHE"):
        fetch(FROM_WHEEL)
