import errno
import mmap
import os
import sys

import pytest

from benchgate.core import Unavailable
from benchgate.machine import page_cache
from benchgate.machine.page_cache import LinuxPages, evict, mapped_bytes, page_out, resident_share

PAGE = mmap.PAGESIZE
linux = pytest.mark.skipif(sys.platform != "linux", reason="the system calls are Linux's")


class FakePages:
    """A file system of which `stays` pages cannot be dropped."""

    def __init__(self, pages=100, stays=0, fails=None):
        self.pages, self.stays, self.fails, self.given_up = pages, stays, fails, []

    def drop(self, descriptor):
        self._may_fail("drop")
        self.pages = self.stays

    def resident(self, descriptor, size):
        self._may_fail("resident")
        return self.pages

    def page_out(self, address, length):
        self._may_fail("page_out")
        self.given_up.append((address, length))

    def _may_fail(self, name):
        if self.fails == name:
            raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my weights.bin"
    path.write_bytes(os.urandom(100 * PAGE))
    return path


@pytest.fixture
def maps(tmp_path, file):
    found = tmp_path / "maps"
    found.write_text(
        f"7f00-7f10 r--p 00000000 fe:00 11 {file}\n"
        f"7f20-7f28 r--p 00000000 fe:00 11    {file}\n"
        f"7f30-7f40 r--p 00000000 fe:00 12 {file}.other\n"
        "7f50-7f60 rw-p 00000000 00:00 0 \n",
        encoding="utf-8",
    )
    return found


@pytest.mark.parametrize(("stays", "cold"), [(0, True), (1, True), (2, False), (100, False)])
def test_a_file_is_cold_at_one_percent_and_not_above(file, stays, cold):
    system = FakePages(stays=stays)
    if cold:
        evict(file, system)
    else:
        with pytest.raises(Unavailable, match=rf"my weights.bin: {stays}% of it stays in memory after posix_fadvise"):
            evict(file, system)
    assert resident_share(file, system) == stays / 100


@pytest.mark.parametrize(("name", "said"), [("drop", "cannot be dropped"), ("resident", "cannot be counted")])
def test_a_refused_call_is_unavailable(file, name, said):
    with pytest.raises(Unavailable, match=rf"{said} from memory \(Operation|{said} \(Operation not permitted"):
        evict(file, FakePages(fails=name))


def test_a_missing_file_is_unavailable(tmp_path):
    for function in (evict, resident_share):
        with pytest.raises(Unavailable, match="none"):
            function(tmp_path / "none", FakePages())


def test_an_empty_file_has_no_pages(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert resident_share(path, FakePages(fails="resident")) == 0


def test_other_systems_are_unavailable(file, monkeypatch):
    monkeypatch.setattr(page_cache.sys, "platform", "darwin")
    for function in (evict, resident_share):
        with pytest.raises(Unavailable, match="Linux only, this is darwin"):
            function(file)
    with pytest.raises(Unavailable, match="Linux only"):
        page_out([file])


def test_each_mapping_of_the_files_is_given_up_and_no_other(file, maps):
    system = FakePages()
    page_out([file], system, maps)
    assert system.given_up == [(0x7F00, 0x10), (0x7F20, 0x08)]
    assert mapped_bytes([file], maps) == 0x18
    assert mapped_bytes([], maps) == 0


def test_pages_that_cannot_be_given_up_are_unavailable(file, maps, tmp_path):
    with pytest.raises(Unavailable, match=r"cannot be given up \(Operation not permitted\).*Linux 5.4"):
        page_out([file], FakePages(fails="page_out"), maps)
    with pytest.raises(Unavailable, match="told by Linux only"):
        mapped_bytes([file], tmp_path / "no maps")


@linux
def test_the_real_calls_evict_a_file_and_see_it_come_back(file):
    assert file.read_bytes()
    assert resident_share(file) == 1
    try:
        evict(file)
    except Unavailable as unavailable:
        # A tmpfs keeps them, and then says so.
        assert "stays in memory" in str(unavailable)  # noqa: PT017
        assert resident_share(file) > page_cache.COLD_SHARE
        pytest.skip(str(unavailable))
    assert resident_share(file) == 0
    assert file.read_bytes()
    assert resident_share(file) == 1


@linux
def test_a_mapped_file_is_cold_only_once_it_is_given_up(file):
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        content = mapped[:]
        assert mapped_bytes([file]) == 100 * PAGE
        with pytest.raises(Unavailable, match="another process has mapped them"):
            evict(file)
        page_out([file])
        try:
            evict(file)
        except Unavailable as unavailable:
            pytest.skip(str(unavailable))
        assert resident_share(file) == 0
        assert mapped[:] == content


@linux
def test_a_refused_system_call_is_an_error():
    with pytest.raises(OSError, match=r"Cannot allocate memory|Invalid argument"):
        LinuxPages().page_out(1 << 46, PAGE)
    with pytest.raises(OSError, match="Bad file descriptor"):
        LinuxPages().resident(-1, PAGE)
