"""Weights mapped from their file against weights read into memory, with --full: what each must cost.

`benchgate loading CELL` prints the same figures; docs/loading.md has them.
"""

from functools import partial

import pytest

from benchgate.core import Cell
from benchgate.executors.local import Local, Settings
from benchgate.machine.devices import usable_cores
from benchgate.measuring.held import Held
from benchgate.measuring.loading import measure, planned
from benchgate.measuring.resolved import resolve
from benchgate.report.loading import COLUMNS, row

pytestmark = pytest.mark.full
# Of the weights' size, in private memory; and four processes with one model against one.
MAPPED_SHARE, FOUR_SHARE = 0.15, 1.3


@pytest.mark.parametrize("runtime", ["torch", "ggml"])
def test_mapped_weights_are_shared_and_quick_to_load(runtime, capsys):
    found = {}
    for way in ("mmap", "read"):
        of = resolve(Cell("smollm2-135m", "fp32", runtime, "cpu"), way)
        if reason := of.missing():
            pytest.skip(reason)
        local = Local(Settings(way=way))
        try:
            plan = planned(of, usable_cores(), "decode")
            found[way] = measure(plan, partial(local.place, of, Held()))
        finally:
            local.close()
        with capsys.disabled():
            print("\n" + ", ".join(f"{name} {value}" for name, value in zip(COLUMNS, row(found[way]), strict=True)))
    mapped, read = found["mmap"], found["read"]
    assert mapped.private_bytes < MAPPED_SHARE * mapped.weights_bytes
    assert read.private_bytes > 0.85 * read.weights_bytes
    assert mapped.warm_load_s < read.warm_load_s
    # What each process works in is its own; the rest is the model.
    model = {count: total - count * mapped.private_bytes for count, total in mapped.together.items()}
    assert model[4] < FOUR_SHARE * model[1]
    assert read.together[4] > 3 * read.together[1]
