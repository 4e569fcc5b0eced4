"""The instructions that this CPU has, by the names that Linux gives them.

Read here and not by py-cpuinfo, which runs interpreters of its own to find them and takes a second.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# `flags` on x86, `Features` on Arm.
LINE = re.compile(r"^(?:flags|Features)\s*:(.*)$", re.MULTILINE)


@functools.cache
def instructions(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Return the CPU's flags, e.g. `avx2`, `avx512_bf16`; empty where the system does not tell them."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    cores = [frozenset(found.split()) for found in LINE.findall(text)]
    # Cores of one CPU may differ; a thread may run on any of them.
    return frozenset.intersection(*cores) if cores else frozenset()
