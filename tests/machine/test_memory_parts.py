import mmap
import os
import sys

import pytest

from benchgate.core import Unavailable
from benchgate.machine.memory_parts import memory_parts

KIB = 1024
MIB = 1024 * KIB
ROLLUP = """\
5637cd655000-7ffe084c4000 ---p 00000000 00:00 0                          [rollup]
Rss:                1000 kB
Pss:                 298 kB
Pss_Anon:            112 kB
Shared_Clean:        300 kB
Shared_Dirty:         20 kB
Private_Clean:        36 kB
Private_Dirty:       612 kB
Anonymous:           600 kB
Swap:                  8 kB
SwapPss:               1 kB
"""
STATUS = "Name:\tx\nRssAnon:\t600 kB\nRssFile:\t390 kB\nRssShmem:\t10 kB\nThreads:\t1\n"
# The name of a command may look like the fields that follow it.
STAT = "7 (a) S 9 (b)) S 1 2 3 4 5 6 1234 8 56 10 11 12\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="smaps_rollup is Linux's")


@pytest.fixture
def proc(tmp_path):
    folder = tmp_path / "7"
    folder.mkdir()
    for name, text in {"smaps_rollup": ROLLUP, "status": STATUS, "stat": STAT}.items():
        (folder / name).write_text(text, encoding="ascii")
    return tmp_path


def test_every_part_is_read_in_bytes(proc):
    found = memory_parts(7, proc)
    assert (found.rss, found.private, found.shared) == (1000 * KIB, 600 * KIB, 320 * KIB)
    assert (found.file_backed, found.pss, found.swap) == (390 * KIB, 298 * KIB, 8 * KIB)
    assert (found.minor_faults, found.major_faults) == (1234, 56)


@pytest.mark.parametrize("name", ["smaps_rollup", "status", "stat"])
def test_a_missing_file_is_unavailable(proc, name):
    (proc / "7" / name).unlink()
    with pytest.raises(Unavailable, match=r"7: memory by part cannot be read \(No such file.*Linux 4.14"):
        memory_parts(7, proc)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("smaps_rollup", ""),
        ("smaps_rollup", ROLLUP.replace("Anonymous", "Anon")),
        ("smaps_rollup", ROLLUP.replace("1000 kB", "many kB")),
        ("status", "Name:\tx\n"),
        ("stat", "7 (x) S 1 2"),
        ("stat", STAT.replace("1234", "?")),
    ],
)
def test_a_file_of_another_form_is_unavailable(proc, name, text):
    (proc / "7" / name).write_text(text, encoding="ascii")
    with pytest.raises(Unavailable, match="not as Linux writes them"):
        memory_parts(7, proc)


def test_a_process_that_allocates_between_two_files_has_no_negative_part(proc):
    (proc / "7" / "status").write_text(STATUS.replace("10 kB", "900 kB"), encoding="ascii")
    assert memory_parts(7, proc).file_backed == 0


@linux
def test_allocated_memory_is_private_and_a_mapped_file_is_file_backed(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(os.urandom(8 * MIB))
    before = memory_parts()
    # Straight from the kernel: an allocator gives pages again that this process was counted for before.
    kept = mmap.mmap(-1, 16 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    kept.write(b"x" * (16 * MIB))
    allocated = memory_parts()
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        touched = sum(mapped[:: mmap.PAGESIZE])
        both = memory_parts()
    assert touched
    assert allocated.private - before.private > 15 * MIB
    assert both.file_backed - allocated.file_backed > 7 * MIB
    assert both.private - allocated.private < 2 * MIB
    kept.close()
    assert both.minor_faults > before.minor_faults


@linux
def test_a_process_that_is_not_there_is_unavailable():
    with pytest.raises(Unavailable, match="cannot be read"):
        memory_parts(2**22 + 1)
