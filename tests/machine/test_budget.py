"""The memory that a process may take, from trees of files like the system's."""

from __future__ import annotations

import pytest

from benchgate.core import Unavailable
from benchgate.machine.budget import Room, room

FREE = "MemTotal: 100 kB\nMemAvailable:    2000 kB\n"


@pytest.fixture
def tree(tmp_path):
    """`tree(files)` writes them and returns the two roots."""

    def made(files, meminfo=FREE):
        for name, text in {"proc/meminfo": meminfo, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii")
        return tmp_path / "proc", tmp_path / "cgroup"

    return made


def test_without_a_cgroup_it_is_what_the_machine_has_free(tree):
    assert room(*tree({})) == Room(2000 * 1024, "the memory that is free on this machine")


@pytest.mark.parametrize(
    ("line", "folder", "limit", "use"),
    [
        ("0::/a/b\n", "cgroup/a/b", "memory.max", "memory.current"),
        ("0::/a/b\n", "cgroup/a", "memory.max", "memory.current"),
        ("5:cpu,memory:/job\n", "cgroup/memory/job", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
    ids=["version 2", "version 2, of the parent", "version 1"],
)
def test_a_cgroup_that_leaves_less_counts_with_what_it_can_drop(tree, line, folder, limit, use):
    files = {
        "proc/self/cgroup": line,
        f"{folder}/{limit}": "1000000\n",
        f"{folder}/{use}": "600000\n",
        f"{folder}/memory.stat": "anon 1\ninactive_file 50000\n",
    }
    assert room(*tree(files)) == Room(450_000, "the memory that the cgroup has left")


@pytest.mark.parametrize("limit", ["max\n", f"{2**63 - 4096}\n", "?"])
def test_no_limit_is_none(tree, limit):
    files = {"proc/self/cgroup": "0::/a\n", "cgroup/a/memory.max": limit, "cgroup/a/memory.current": "1"}
    assert room(*tree(files)).of == "the memory that is free on this machine"


def test_a_full_cgroup_leaves_nothing(tree):
    files = {"proc/self/cgroup": "0::/a\n", "cgroup/a/memory.max": "10", "cgroup/a/memory.current": "20"}
    assert room(*tree(files)).bytes == 0


def test_what_cannot_be_read_is_unavailable(tree):
    with pytest.raises(Unavailable, match="not as Linux writes it"):
        room(*tree({}, meminfo="MemAvailable: many\n"))
