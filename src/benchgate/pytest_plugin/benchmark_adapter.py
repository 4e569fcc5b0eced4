"""All that touches pytest-benchmark beyond its documented fixture, options and hooks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from pytest_benchmark import logger as benchmark_logger
from pytest_benchmark import utils as benchmark_utils

from benchgate.pytest_plugin.replica import Options, options_of
from benchgate.results import Record

_utils: Any = benchmark_utils
ABSENT = "cells are measured with pytest-benchmark; install it, and run without -p no:benchmark"
# The gate says which metrics are not compared and why; this warning prints both machines whole.
MACHINE_DIFFERS = "ignore:Benchmark machine_info is different"
# What asks for pytest-benchmark's table, and what only it prints: option -> its value where nobody gave it.
TABLE_OPTIONS: Mapping[str, Any] = {
    "benchmark_columns": None,
    "benchmark_sort": "min",
    "benchmark_group_by": "group",
    "benchmark_name": "normal",
    "benchmark_verbose": False,
    "benchmark_histogram": [],
    "benchmark_cprofile": None,
    "benchmark_compare_fail": None,
}
NOT_USED = "ignore:Benchmark fixture was not used at all"


def is_absent(config: pytest.Config) -> bool:
    """True under -p no:benchmark: its options are not there."""
    return not hasattr(config.option, "benchmark_compare")


def storage(config: pytest.Config) -> Any:
    """Where pytest-benchmark will look: its own is made only later. None where it is not loaded, as each cell says."""
    if is_absent(config):
        return None
    utils: Any = benchmark_utils
    logger: Any = benchmark_logger.Logger
    quiet, machine = logger(logger.QUIET, config=config), utils.get_machine_id()
    option = config.option
    return utils.load_storage(
        option.benchmark_storage, logger=quiet, default_machine_id=machine, netrc=option.benchmark_netrc
    )


def can_compare(config: pytest.Config) -> bool:
    """False where pytest-benchmark itself would end in a traceback over what `--benchmark-compare` names."""
    named = config.option.benchmark_compare
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            documents = [document for _, document in storage(config).load(*([] if named is True else [named]))]
        except ValueError:
            # Its word for a path of folders that is not there.
            return False
    return all("machine_info" in d and all("fullname" in bench for bench in d["benchmarks"]) for d in documents)


def options(item: pytest.Item, fixture: Any) -> Options:
    """Return the options of the test's `fixture`: the command line's, with those of its `benchmark` mark over them."""
    mark = item.get_closest_marker("benchmark")
    own = dict(mark.kwargs) if mark else {}
    if "timer" in own:
        own["timer"] = _utils.NameWrapper(own["timer"])
    return options_of(fixture, {**_session(item.config).options, **own})


def timings(item: pytest.Item) -> dict[str, Any] | None:
    """Return what pytest-benchmark keeps of the test, raw rounds and all; None where nothing was timed to its end."""
    fixture = _fixture(item)
    if fixture is None or fixture.has_error or fixture.stats is None:
        return None
    found: dict[str, Any] = fixture.stats.as_dict()
    return found


def timer(item: pytest.Item) -> str | None:
    """The clock and the garbage collector's setting of the test's rounds; None for a test without timed rounds."""
    stats = getattr(_fixture(item), "stats", None)
    if stats is None:
        return None
    clock = str(_utils.NameWrapper(stats.options["timer"]))
    return f"{clock}, no garbage collection" if stats.options["disable_gc"] else clock


def attach(item: pytest.Item, record: Record) -> None:
    """Let pytest-benchmark's file carry the record."""
    fixture = _fixture(item)
    if fixture is not None:
        fixture.extra_info["benchgate"] = record.as_dict()


def forget(config: pytest.Config, key: str) -> None:
    """Take out what an earlier attempt of the test timed: a key is in the file once."""
    session = _session(config)
    session.benchmarks[:] = [bench for bench in session.benchmarks if bench.fullname != key]


def write_although_untimed(config: pytest.Config) -> None:
    """Let pytest-benchmark write its file although nothing was timed."""
    session = _session(config)
    if not session.benchmarks:
        session.benchmarks.append(_Untimed())


def with_rounds(document: Mapping[str, Any], benchmarks: Iterable[Any]) -> None:
    """Give the cells of a document their single rounds: percentiles are computed from them."""
    rounds = {bench.fullname: bench.stats.data for bench in benchmarks if bench and "benchgate" in bench.extra_info}
    for bench in document["benchmarks"]:
        if bench["fullname"] in rounds:
            bench["stats"]["data"] = rounds[bench["fullname"]]


def shown_groups(config: pytest.Config, groups: list[tuple[Any, list[Any]]]) -> list[tuple[Any, list[Any]]]:
    """Return what goes into pytest-benchmark's table: cells have a summary of their own, unless one of the table's
    options is given."""
    if any((getattr(config.option, name, default) or default) != default for name, default in TABLE_OPTIONS.items()):
        return groups
    kept = [(name, [bench for bench in found if "benchgate" not in bench["extra_info"]]) for name, found in groups]
    return [(name, found) for name, found in kept if found]


class _Untimed:
    """Stands in pytest-benchmark's list when nothing was timed, and is in none of its output."""

    has_error = True
    fullname = ""

    def __bool__(self) -> bool:
        return False


def _session(config: pytest.Config) -> Any:
    return config.pluginmanager.getplugin("pytest-benchmark")


def _fixture(item: pytest.Item) -> Any:
    return getattr(item, "funcargs", {}).get("benchmark")
