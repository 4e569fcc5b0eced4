"""A side's pytest ends with who asks it, also in the middle of something long: a wire's end is only seen when idle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ASKS = """
import sys, time
from pathlib import Path
from benchgate.executors.peer import Peer, Start

peer = Peer(Start("side", sys.executable, Path.cwd(), ("-q", "-p", "no:randomly", "-p", "no:cacheprovider")))
peer.greet()
peer.send("capture", tests=list(peer.tests))
time.sleep(600)
"""
SUITE = """
import os, pathlib, time
import pytest

@pytest.mark.cells(model="fake-a", scheme="fp32", runtime="fake")
def test_long(cell):
    pathlib.Path("begun").write_text(str(os.getpid()))
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a process is told of its parent's end on Linux only")
def test_a_side_ends_with_who_asks_it_in_the_middle_of_a_long_test(tmp_path):
    fake = Path(__file__).parents[1] / "pytest_plugin" / "fake_suite.py"
    (tmp_path / "suite.py").write_text(fake.read_text(encoding="utf-8"))
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["suite"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(SUITE)
    asks = subprocess.Popen([sys.executable, "-c", ASKS], cwd=tmp_path)
    side = int(_until(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text()))
    try:
        asks.send_signal(signal.SIGKILL)
        asks.wait(30)
        _until(lambda: not _is_there(side))
    finally:
        if _is_there(side):
            os.kill(side, signal.SIGKILL)


def _is_there(process):
    return Path(f"/proc/{process}/cmdline").exists() and b"gate-peer" in Path(f"/proc/{process}/cmdline").read_bytes()


def _until(condition):
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found
