"""One URL into one file: whole, resumed, or refused with what to do."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchgate.storage import cache
from benchgate.storage.cache import CacheError
from benchgate.storage.download import FetchError, download, file_sha256, target_name

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(pip_environment):
    pass


@pytest.fixture
def target(tmp_path):
    return tmp_path / "folder" / "file.bin"


@pytest.fixture
def part(target):
    return target.with_name("file.bin.part")


def test_a_file_comes_whole_and_leaves_nothing_beside_it(site, target):
    site.files["/file.bin"] = CONTENT
    assert download(f"{site.url}/file.bin", target, SHA256, len(CONTENT)) == target
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_file_url_is_a_mirror_too(tmp_path, target):
    source = tmp_path / "mirror.bin"
    source.write_bytes(CONTENT)
    download(source.as_uri(), target, SHA256)
    assert target.read_bytes() == CONTENT


def test_a_cut_download_is_kept_said_and_gone_on_with(site, target, part):
    site.files["/file.bin"], site.cut = CONTENT, 4000
    with pytest.raises(FetchError, match="what came is kept, try again to go on"):
        download(f"{site.url}/file.bin", target, SHA256)
    assert part.read_bytes() == CONTENT[:4000]
    assert not target.exists()
    site.cut = None
    download(f"{site.url}/file.bin", target, SHA256)
    assert target.read_bytes() == CONTENT
    assert site.asked == [("/file.bin", None), ("/file.bin", "bytes=4000-")]


def test_cut_again_and_again_it_still_ends_whole(site, target):
    site.files["/file.bin"], site.cut = CONTENT, 3000
    for _ in range(3):
        with pytest.raises(FetchError, match="try again"):
            download(f"{site.url}/file.bin", target, SHA256)
    download(f"{site.url}/file.bin", target, SHA256)
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_anew(site, target, part):
    site.files["/file.bin"], site.ranges = CONTENT, False
    part.parent.mkdir()
    part.write_bytes(b"something that came earlier")
    download(f"{site.url}/file.bin", target, SHA256)
    assert target.read_bytes() == CONTENT


def test_a_part_that_is_whole_is_not_asked_for_again(site, target, part):
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    download(f"{site.url}/file.bin", target, SHA256, len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert site.asked == []


def test_a_part_longer_than_the_file_is_deleted_and_the_next_try_succeeds(site, target, part):
    site.files["/file.bin"] = CONTENT
    part.parent.mkdir()
    part.write_bytes(CONTENT + b"more")
    with pytest.raises(FetchError, match="longer than the file; deleted, try again"):
        download(f"{site.url}/file.bin", target)
    download(f"{site.url}/file.bin", target, SHA256)
    assert target.read_bytes() == CONTENT


def test_something_of_another_hash_is_deleted_and_both_hashes_said(site, target):
    site.files["/file.bin"] = b"something else"
    with pytest.raises(
        FetchError, match=f"sha256 is {hashlib.sha256(b'something else').hexdigest()}, expected {SHA256}"
    ):
        download(f"{site.url}/file.bin", target, SHA256)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("path", ["/absent.bin", "/"])
def test_an_error_of_the_server_names_the_url(site, target, path):
    with pytest.raises(FetchError, match=rf"{site.url}{path}: .*404"):
        download(f"{site.url}{path}", target)
    assert not target.exists()


def test_a_server_that_cannot_be_reached_is_named(refused, target):
    with pytest.raises(FetchError, match=f"{refused}/file.bin: ConnectError"):
        download(f"{refused}/file.bin", target)


@pytest.mark.parametrize("url", ["nonsense", "gopher://host/file", "http://[broken"])
def test_what_is_no_url_is_an_error_of_ours(target, url):
    with pytest.raises(FetchError):
        download(url, target)


def test_a_file_url_to_nothing_is_an_error_of_ours(tmp_path, target):
    with pytest.raises(FetchError, match="404"):
        download((tmp_path / "absent").as_uri(), target)


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "have", "fits"), [(10_240, 0, True), (10_239, 0, False), (6_240, 4000, True)])
def test_a_disk_that_cannot_hold_the_rest_is_said_before_a_byte_is_asked_for(
    site, target, part, monkeypatch, free, have, fits
):
    site.files["/file.bin"] = CONTENT
    part.parent.mkdir()
    if have:
        part.write_bytes(CONTENT[:have])
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Usage(0, 0, free))
    if fits:
        download(f"{site.url}/file.bin", target, SHA256, len(CONTENT))
        return
    with pytest.raises(CacheError, match=r"disk full: .* needs 10,240 bytes and has 10,239 free; set BENCHGATE_CACHE"):
        download(f"{site.url}/file.bin", target, SHA256, len(CONTENT))
    assert site.asked == []


def test_a_folder_that_is_a_file_is_said_with_the_way_out(site, tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises((CacheError, FileExistsError)):
        download(f"{site.url}/file.bin", tmp_path / "folder" / "file.bin")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host/a/b.bin", "b.bin"),
        ("http://host/a/b.bin#sha256=123", "b.bin"),
        ("http://host/a/b.bin?token=x/y", "b.bin"),
        ("http://host/a/b.bin?token=x#sha256=1", "b.bin"),
        ("file:///a/b.bin", "b.bin"),
    ],
)
def test_target_name_is_the_last_part_of_the_path(url, name):
    assert target_name(url) == name


def test_file_sha256(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert file_sha256(tmp_path / "file") == SHA256
    assert shutil.disk_usage(tmp_path).free > 0


def test_two_that_fetch_the_same_file_at_once_both_have_it(site, target):
    site.files["/file.bin"] = CONTENT * 50
    digest = hashlib.sha256(CONTENT * 50).hexdigest()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: download(f"{site.url}/file.bin", target, digest), range(6)))
    assert found == [target] * 6
    assert file_sha256(target) == digest
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("limits", [{"size": 100}, {"at_most": 100}])
@pytest.mark.parametrize("honest", [True, False])
def test_an_answer_that_is_too_long_is_cut_and_deleted(site, target, limits, honest):
    site.files["/file.bin"], site.says_length = CONTENT, honest
    with pytest.raises(FetchError, match="more than the 100 bytes that it may have; what came was deleted"):
        download(f"{site.url}/file.bin", target, **limits)
    assert list(target.parent.iterdir()) == []


def test_an_encoded_answer_is_not_unpacked(site, target):
    bomb = gzip.compress(bytes(1 << 20))
    site.files["/file.bin"], site.headers = bomb, {"Content-Encoding": "gzip"}
    download(f"{site.url}/file.bin", target, size=len(bomb))
    assert target.read_bytes() == bomb


@pytest.mark.parametrize("to", ["file:///etc/hostname", "gopher://host/file"])
def test_a_redirect_to_what_is_not_of_the_web_is_refused(site, target, to):
    site.redirects["/file.bin"] = to
    with pytest.raises(FetchError, match=r"file\.bin"):
        download(f"{site.url}/file.bin", target)
    assert not target.exists()


@pytest.mark.parametrize("length", ["-1", "x", "9" * 40])
def test_a_length_that_is_none_is_an_error_of_ours(site, target, length):
    site.files["/file.bin"], site.headers = CONTENT, {"Content-Length": length}
    site.says_length = False
    with pytest.raises(FetchError, match=r"file\.bin"):
        download(f"{site.url}/file.bin", target)


@pytest.mark.parametrize(
    "url", ["http://h/..", "http://h/a/../", "http://h/.", "http://h/" + 201 * "a", "http://h/a\0b"]
)
def test_what_is_no_name_of_a_file_is_refused(url):
    with pytest.raises(FetchError, match="no name of a file"):
        target_name(url)
