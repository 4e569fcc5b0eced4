"""Every target that benchgate's own rows of support name is there."""

from __future__ import annotations

import pytest

from benchgate.core import runtimes, support
from benchgate.registration import load_builtin

load_builtin()
OWN = [name for name in runtimes if type(runtimes[name]).__module__.startswith("benchgate.runtimes.")]
TARGETS = sorted(
    {
        target
        for name in OWN
        for row in (*support.sessions.of(name), *support.compressors.of(name))
        for target in row.targets
        if target
    }
)


def test_every_runtime_has_rows():
    assert len(OWN) == 12
    for name in OWN:
        runtime = runtimes[name]
        shared = (getattr(runtime, "sessions_of", name), getattr(runtime, "compressors_of", name))
        assert support.sessions.of(shared[0]), name
        assert support.compressors.of(shared[1]), name


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_there(target):
    assert callable(support.imported(target))
