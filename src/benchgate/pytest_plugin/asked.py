"""Parts of the pytests that answer requests of another run: a side of the gate, a node of a fleet."""

from __future__ import annotations

import os

import pytest

from benchgate.machine.worker_main import die_with
from benchgate.pytest_plugin import cell_hooks
from benchgate.pytest_plugin.names import CELLS


def cells_of(config: pytest.Config) -> cell_hooks.CellHooks:
    """The hooks of this run's cells; from now on this process ends with the one that asks."""
    die_with(os.getppid())
    if not config.pluginmanager.hasplugin(CELLS):
        cell_hooks.activate(config)
    hooks = config.pluginmanager.getplugin(CELLS)
    assert isinstance(hooks, cell_hooks.CellHooks)
    return hooks


class Uncollected:
    """Hooks that keep what could not be collected: `failed` has the last line of each reason, by file."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            lines = [line for line in str(report.longrepr).splitlines() if line.strip()]
            self.failed[report.nodeid] = lines[-1].strip() if lines else "cannot be collected"
