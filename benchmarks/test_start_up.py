"""What benchgate costs where it is installed and not used: the start of pytest in a suite without cells."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PAIRS = 15
LIMIT_S = 0.1
PLUGIN = "benchgate.pytest_plugin.hooks"


def seconds(folder: Path, *options: str) -> float:
    """Seconds of one pytest run of one test that does nothing, in an interpreter of its own, without other plugins."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    begun = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return time.perf_counter() - begun


def test_start_up_of_a_suite_without_cells(tmp_path, capsys):
    """Below 0.1 s, the median of the differences of pairs in turn, with the plugin and without it."""
    (tmp_path / "test_plain.py").write_text("def test_plain(): ...\n", encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    with_it, without_it = ("-p", PLUGIN), ()
    for options in (with_it, without_it):  # byte code and file cache
        seconds(tmp_path, *options)
    differences = []
    for pair in range(PAIRS):
        order = (with_it, without_it) if pair % 2 else (without_it, with_it)
        taken = {options: seconds(tmp_path, *options) for options in order}
        differences.append(taken[with_it] - taken[without_it])
    cost = statistics.median(differences)
    with capsys.disabled():
        print(f"\nstart-up with benchgate installed: {cost * 1000:+.0f} ms (median of {PAIRS} pairs)")
    assert cost < LIMIT_S, differences
