"""The pytest plugin: hooks that hand over to the modules where the work is done."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pytest_benchmark import logger as benchmark_logger
from pytest_benchmark import utils as benchmark_utils

from benchgate import registration
from benchgate.core import BenchgateError, Cell, Unavailable, UnknownName, runtimes, unknown_name
from benchgate.gate.policy import Policy, parse_policy
from benchgate.machine.devices import devices
from benchgate.measuring.meters import meters
from benchgate.project import read_settings
from benchgate.pytest_plugin import matrix
from benchgate.pytest_plugin.cell import MeasuredCell, plain
from benchgate.pytest_plugin.outcomes import outcome_of
from benchgate.pytest_plugin.suite_run import SuiteRun, load_baselines
from benchgate.report.summary import print_summary
from benchgate.results import Journal, Record

SUITE_RUN = pytest.StashKey[SuiteRun]()
JOURNAL = Path(".benchmarks") / "benchgate-journal.jsonl"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchgate")
    add = group.addoption
    add(
        "--need",
        action="append",
        default=[],
        metavar="NAME",
        help="fail, not skip, cells of this runtime, device, extra or package when it is missing; repeatable",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the last run where it was killed: measure only what is missing",
    )
    add(
        "--gate-strict",
        action="store_true",
        help="also fail on cells that are new, gone or skipped against the baseline",
    )
    add(
        "--accept-regressions",
        action="store_true",
        help="report regressions without failing, and let this run be the next baseline",
    )
    add(
        "--meters",
        metavar="NAMES",
        type=lambda text: [n for n in text.split(",") if n],
        help=f"comma-separated meters to use beside latency instead of the tests' own, of: {', '.join(meters)}",
    )
    for axis in matrix.AXES:
        add(
            f"--cell-{axis}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"measure this {axis} instead of those in the cells marks; repeatable",
        )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "cells(model, scheme, runtime, device, tolerance): the matrix that the test's `cell` fixture runs over",
    )
    if not hasattr(config.option, "benchmark_save_data"):
        raise pytest.UsageError("benchgate measures with pytest-benchmark; run without -p no:benchmark")
    # The gate says which metrics are not compared and why; pytest-benchmark's warning prints both machines whole.
    config.addinivalue_line("filterwarnings", "ignore:Benchmark machine_info is different")
    # Percentiles and intervals are computed from the single rounds: without them a stored result is a dead end.
    config.option.benchmark_save_data = True
    ours = config.stash[SUITE_RUN] = SuiteRun(
        Policy(),
        Journal(config.rootpath / JOURNAL),
        strict=config.option.gate_strict,
        accept=config.option.accept_regressions,
    )
    try:
        registration.load_builtin()
        raw = read_settings(config.rootpath)
        ours.policy = parse_policy(raw.get("gate", {}), "[tool.benchgate.gate] in pyproject.toml")
        for name in config.option.meters or ():
            _ = meters[name]
        if config.option.benchmark_compare:
            # Before pytest-benchmark loads the same: it has a traceback, or a warning, for a baseline that is no good.
            ours.comparing = True
            ours.baselines = load_baselines(config.option.benchmark_compare, _storage(config))
        if config.option.resume:
            ours.resumed = {entry["record"]["key"]: entry for entry in ours.journal.unfinished()}
    except BenchgateError as error:
        raise pytest.UsageError(str(error)) from error


def _storage(config: pytest.Config) -> Any:
    """Where pytest-benchmark will look: its own is made only later."""
    utils: Any = benchmark_utils
    logger: Any = benchmark_logger.Logger
    quiet, machine = logger(logger.QUIET, config=config), utils.get_machine_id()
    option = config.option
    return utils.load_storage(
        option.benchmark_storage, logger=quiet, default_machine_id=machine, netrc=option.benchmark_netrc
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = list(metafunc.definition.iter_markers("cells"))
    if "cell" not in metafunc.fixturenames:
        return
    ours = metafunc.config.stash[SUITE_RUN]
    overrides = {axis: getattr(metafunc.config.option, f"cell_{axis}") for axis in matrix.AXES}
    try:
        if not marks:
            raise matrix.MarkError(f"{metafunc.definition.nodeid}: the cell fixture needs a cells mark")
        made = [matrix.expand(matrix.parse_mark(mark.args, mark.kwargs), overrides) for mark in marks]
        matrix.tolerance_of(marks)
    except BenchgateError as error:
        ours.errors.append(f"{metafunc.definition.nodeid}: {error}")
        made = []
    cells = list(dict.fromkeys(cell for m in made for cell in m.cells))
    ours.left_out += [item for m in made for item in m.left_out]
    values = [(c.model, c.scheme, c.runtime, c.device) for c in cells]
    metafunc.parametrize(matrix.AXES, values, ids=[str(cell) for cell in cells])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = config.stash[SUITE_RUN]
    try:
        _check_needs(config.option.need)
        for axis in matrix.AXES:
            matrix.check_names(axis, getattr(config.option, f"cell_{axis}"))
    except BenchgateError as error:
        raise pytest.UsageError(str(error)) from error
    if ours.errors:
        raise pytest.UsageError("\n".join(ours.errors))
    ours.collected = {item.nodeid for item in items}


def _check_needs(needs: list[str]) -> None:
    """A typing error in --need would turn a failure back into a skip. Raises UnknownName."""
    known = {*runtimes, *devices, *(metadata("benchgate").get_all("Provides-Extra") or ())}
    known |= {name for runtime in runtimes.values() for pair in runtime.needs.items() for name in pair}
    for name in needs:
        if name not in known:
            raise UnknownName(unknown_name("--need", name, sorted(known)))


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    return config.stash[SUITE_RUN].header()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    cell = _cell_of(item)
    if cell is None:
        return
    ours = item.config.stash[SUITE_RUN]
    ours.tolerances[item.nodeid] = matrix.tolerance_of(item.iter_markers("cells"))
    if ours.take_resumed(item.nodeid):
        pytest.skip("measured before the last run was interrupted (--resume)")
    reason = matrix.missing(cell)
    if reason is None:
        return
    _skip_or_fail(item, reason)


def _skip_or_fail(item: pytest.Item, reason: str) -> NoReturn:
    """What cannot be had here is a skip with its reason; under --need it is a failure."""
    cell = _cell_of(item)
    if cell is not None and matrix.is_needed(runtimes[cell.runtime], cell.device, item.config.option.need):
        pytest.fail(f"{cell} is needed (--need) and cannot run: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def cell(
    request: pytest.FixtureRequest, model: str, scheme: str, runtime: str, device: str, benchmark: Any
) -> Iterator[MeasuredCell]:
    """One cell of the matrix that the test's `cells` mark spans; see benchgate.pytest_plugin.cell.MeasuredCell."""
    config, item = request.config, request.node
    mark = item.get_closest_marker("benchmark")
    options = {**config.pluginmanager.getplugin("pytest-benchmark").options, **(mark.kwargs if mark else {})}
    measured = MeasuredCell(
        Cell(model, scheme, runtime, device),
        item.nodeid,
        _params_of(item),
        benchmark,
        (float(options["max_time"]), int(options["min_rounds"])),
        config.option.meters,
        config.stash[SUITE_RUN],
    )
    yield measured
    measured.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    try:
        result = yield
    except Unavailable as unavailable:
        _skip_or_fail(item, str(unavailable))
    ours = item.config.stash[SUITE_RUN]
    failed = ours.judge(item.nodeid, _timer_of(item))
    if failed and not ours.accept:
        pytest.fail("; ".join(map(str, failed)), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    ours = item.config.stash[SUITE_RUN]
    if report.when == "call" or (report.when == "setup" and not report.passed):
        outcome, reason = outcome_of(report, call.excinfo, ours.waived(item.nodeid))
        cell = _cell_of(item)
        if outcome not in ("passed", "accepted") and cell is not None and item.nodeid not in ours.records:
            # Skipped, or dead before there was anything to keep: that too is a result.
            bare = replace(Record.unmeasured(item.nodeid, cell), params=plain(_params_of(item)))
            ours.records[item.nodeid] = ours.attempts.get(item.nodeid, bare)
        fixture = getattr(item, "funcargs", {}).get("benchmark")
        stats = fixture.stats if fixture is not None and not fixture.has_error else None
        record = ours.finish(item.nodeid, outcome, reason, stats.as_dict() if stats is not None else None)
        if record is not None and fixture is not None:
            fixture.extra_info["benchgate"] = record.as_dict()
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(output_json: dict[str, Any], config: pytest.Config) -> None:
    config.stash[SUITE_RUN].complete(output_json)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    ours, option = session.config.stash[SUITE_RUN], session.config.option
    if not option.collectonly and any(_cell_of(item) for item in session.items):
        ours.journal.start(list(ours.resumed.values()))


class _Untimed:
    """Stands in pytest-benchmark's list when nothing was timed, so that it writes its file, and is in none of it."""

    has_error = True

    def __bool__(self) -> bool:
        return False


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, Any, Any]:
    ours, scope = session.config.stash[SUITE_RUN], session.config.args
    finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    if finished and not session.config.option.collectonly:
        ours.find_gone(lambda key: any(_covers(argument, key, session.config) for argument in scope))
    if ours.strict and ours.gone and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    benchmarks: Any = session.config.pluginmanager.getplugin("pytest-benchmark")
    if ours.records and not benchmarks.benchmarks:
        benchmarks.benchmarks.append(_Untimed())
    result = yield
    # Only now are the results in their file.
    if finished and not (session.shouldstop or session.shouldfail):
        ours.journal.end()
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    print_summary(terminalreporter, config.stash[SUITE_RUN].summary())


def _cell_of(item: pytest.Item) -> Cell | None:
    """The cell of a collected test, or None for a test without one."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    if "cell" not in getattr(item, "fixturenames", ()) or not set(matrix.AXES) <= set(params):
        return None
    cell = Cell(*(params[axis] for axis in matrix.AXES))
    return cell if cell.runtime in runtimes else None


def _timer_of(item: Any) -> str | None:
    """The clock and the garbage collector's setting of the test's rounds; None for a test without timed rounds."""
    stats = getattr(item.funcargs.get("benchmark"), "stats", None)
    if stats is None:
        return None
    clock: Any = benchmark_utils.NameWrapper(stats.options["timer"])  # type: ignore[no-untyped-call]
    return f"{clock}, no garbage collection" if stats.options["disable_gc"] else str(clock)


def _params_of(item: Any) -> dict[str, Any]:
    """The test's parameters beside the axes."""
    return {name: value for name, value in item.callspec.params.items() if name not in matrix.AXES}


def _covers(argument: str, key: str, config: pytest.Config) -> bool:
    """Whether a command-line argument (folder, file or node id) takes in the test that `key` is the node id of."""
    path, _, inside = argument.partition("::")
    absolute = (config.invocation_params.dir / path).resolve()
    own_path, _, own = key.partition("::")
    file = (config.rootpath / own_path).resolve()
    if inside:
        return file == absolute and (own == inside or own.startswith((f"{inside}[", f"{inside}::")))
    return file == absolute or absolute in file.parents
