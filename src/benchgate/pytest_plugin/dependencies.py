"""All that a measured cell depends on: an interrupted run's record is reused only where it still holds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any

import pytest

import benchgate
from benchgate.core import BenchgateError, Cell, all_needs, models, runtimes, schemes
from benchgate.gate.policy import Policy
from benchgate.machine.devices import usable_cores
from benchgate.machine.environment import deciding
from benchgate.machine.fingerprint import fingerprint
from benchgate.machine.packages import versions
from benchgate.storage.artifacts import content_of
from benchgate.storage.sources import is_project, sources

# Options that choose tests, print, or write; everything else, a project's own options too, may change a figure.
HARMLESS = {
    "assertmode", "basetemp", "cacheclear", "cacheshow", "capture", "code_highlight",
    "collectonly", "color", "confcutdir", "continue_on_collection_errors", "debug", "deselect", "disable_warnings",
    "doctestmodules", "durations", "durations_min", "failedfirst", "fold_skipped", "file_or_dir", "full_trace",
    "fulltrace", "gate_strict", "help", "ignore", "ignore_glob", "importmode", "inifilename", "junitprefix",
    "keepduplicates", "keyword", "last_failed_no_failures", "lf", "log_cli_level", "log_file", "markexpr", "markers",
    "maxfail", "newfirst", "no_header", "no_summary", "noconftest", "override_ini", "pastebin", "plugins",
    "pyargs", "randomly_seed", "reportchars", "rootdir", "runxfail", "setuponly", "setupplan", "setupshow",
    "show_capture", "show_fixtures_per_test", "showcapture", "showfixtures", "showlocals", "stepwise",
    "stepwise_reset", "stepwise_skip", "strict", "strict_config", "strict_markers", "tbstyle", "trace",
    "traceconfig", "usepdb", "usepdb_cls", "verbose", "version", "xfail_tb", "xmlpath",
    "cell_need", "cell_resume", "gate_accept",
    "benchmark_autosave", "benchmark_columns", "benchmark_compare", "benchmark_compare_fail", "benchmark_group_by",
    "benchmark_histogram", "benchmark_json", "benchmark_name", "benchmark_netrc", "benchmark_only",
    "benchmark_quiet", "benchmark_save", "benchmark_save_data", "benchmark_skip", "benchmark_sort",
    "benchmark_storage", "benchmark_time_unit", "benchmark_verbose",
}  # fmt: skip
# Options of these beginnings choose cells: a cell that is in two selections is the same cell.
CHOOSING = ("cell_model", "cell_scheme", "cell_runtime", "cell_device", "gate_against", "gate_confirm")


def before(
    item: pytest.Item, cell: Cell, params: Mapping[str, Any], policy: Policy, own: Mapping[str, float]
) -> dict[str, Any]:
    """All that is known of it before it is measured, by part; JSON-ready. `own` are the test's own tolerances."""
    found = {
        "the test's source": _test_sources(item),
        "parameters": dict(params),
        "tolerances": {"policy": asdict(policy), "own": dict(own)},
        "options": _options(item.config),
        "environment variables": deciding(os.environ),
        "packages": versions({*all_needs(runtimes[cell.runtime]), "numpy", "pytest", "pytest_benchmark"}),
        "machine": dict(fingerprint(cell.device)),
        "threads": usable_cores(),
        "benchgate": benchgate.__version__,
    }
    # As the journal gives it back.
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str))
    return plain


def artifact_state(cell: Cell) -> str:
    """All that the cell's artifact is made from, as one digest; the reason where that cannot be told."""
    try:
        return content_of(models[cell.model], schemes[cell.scheme], runtimes[cell.runtime], cell.device)
    except BenchgateError as error:
        return str(error)


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The parts that differ, each with the names in it that do: `packages (torch)`."""
    found = []
    for part in sorted(then.keys() | now.keys()):
        ours, theirs = now.get(part), then.get(part)
        if ours != theirs:
            names = []
            if isinstance(ours, dict) and isinstance(theirs, dict):
                names = sorted(n for n in {*ours, *theirs} if ours.get(n) != theirs.get(n))
            found.append(f"{part} ({', '.join(names[:3])})" if names else part)
    return found


def _test_sources(item: pytest.Item) -> dict[str, str]:
    """Digests of the test's module, the project's plugins and conftest files, and all that they import of it."""
    module = item.getparent(pytest.Module)
    plugins = (p for p in item.config.pluginmanager.get_plugins() if isinstance(p, ModuleType))
    names = {p.__name__ for p in plugins if is_project(p.__name__)}
    return dict(sources(names | ({module.obj.__name__} if module is not None else set())))


def _options(config: pytest.Config) -> dict[str, str]:
    chosen = {n: v for n, v in vars(config.option).items() if n not in HARMLESS and not n.startswith(CHOOSING)}
    return {name: repr(value) for name, value in sorted(chosen.items()) if " at 0x" not in repr(value)}
