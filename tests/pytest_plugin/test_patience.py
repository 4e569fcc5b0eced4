"""The patience of a cell and of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchgate.pytest_plugin.patience import Patience


@pytest.mark.parametrize(("timeout_s", "left"), [(None, 6.0), (100.0, 6.0), (5.0, 2.5)])
def test_a_timeout_halves_what_a_cell_may_wait(timeout_s: float | None, left: float) -> None:
    assert Patience.of(6.0, timeout_s).left() == left


def test_a_run_ends_its_patience_and_keeps_the_best_reference() -> None:
    patience = Patience.of(6.0)
    blocks: Any = SimpleNamespace(again_s=57.0, best_reference_s=0.5)
    patience.spent(blocks)
    assert (patience.left(), patience.best_reference_s) == (3.0, 0.5)
    patience.spent(blocks)
    patience.spent(None)
    assert patience.left() == 0.0
