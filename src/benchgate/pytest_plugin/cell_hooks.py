"""The hooks of a run that has cells; `hooks` registers them when it meets the first."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from benchgate import registration
from benchgate.core import BenchgateError, CannotBeSent, Cell, DataError, Unavailable, runtimes
from benchgate.executors.local import Kind, Local, Settings
from benchgate.gate.policy import Policy, parse_policy
from benchgate.gate.side_by_side.calibrated import noise_for
from benchgate.machine import workers
from benchgate.machine.fingerprint import fingerprint
from benchgate.machine.limits import parse_bytes
from benchgate.measuring.matrix import expand
from benchgate.measuring.meters import Meter, meters
from benchgate.measuring.meters.modelled_energy import ModelledEnergy
from benchgate.pytest_plugin import benchmark_adapter, dependencies, matrix, selection
from benchgate.pytest_plugin.cell import MeasuredCell, plain
from benchgate.pytest_plugin.items import cell_of, own_modules, params_of
from benchgate.pytest_plugin.names import AXES, CELLS, REFUSAL
from benchgate.pytest_plugin.outcomes import Ended, ended_early, outcome_of
from benchgate.pytest_plugin.patience import Patience
from benchgate.pytest_plugin.progress import PROGRESS, Progress
from benchgate.pytest_plugin.stored_runs import BASELINES
from benchgate.pytest_plugin.suite_run import SuiteRun
from benchgate.results import Record
from benchgate.storage import resumable
from benchgate.storage.journal import Journal
from benchgate.storage.project import read_settings

JOURNALS = Path(".benchmarks")
UNMEASURED = (
    "the test passed without cell.measure(): nothing was measured; call it, or write measure=False in the cells mark "
    "of a test that only uses cell.session"
)
FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def activate(config: pytest.Config) -> None:
    """Register the hooks and all that can be measured. What is wrong is told after the collection, all at once."""
    option = config.option
    suite = SuiteRun(
        Policy(),
        Journal(config.rootpath / JOURNALS, _asked_for(config)),
        strict=option.gate_strict,
        accept=option.gate_accept,
        noise=lambda name, device: noise_for(name, fingerprint(device)),
        patience=Patience.of(option.cell_patience, option.cell_timeout),
    )
    try:
        _prepare(suite, config)
    except BenchgateError as error:
        suite.errors.append(str(error))
    config.pluginmanager.register(CellHooks(config, suite), CELLS)
    config.pluginmanager.register(Progress(config, suite), PROGRESS)


def _prepare(suite: SuiteRun, config: pytest.Config) -> None:
    registration.load_builtin()
    suite.policy = parse_policy(
        read_settings(config.rootpath).get("gate", {}), "[tool.benchgate.gate] in pyproject.toml"
    )
    for name in config.option.cell_meters or ():
        _ = meters[name]
    if BASELINES in config.stash:
        found = config.stash[BASELINES]
        if isinstance(found, BenchgateError):
            raise found
        suite.comparing, suite.baselines = True, found
    if config.option.cell_resume:
        suite.resume()
        resumable.take_up(True)


def _asked_for(config: pytest.Config) -> list[str]:
    """Arguments of this run that select tests: a run that is resumed is looked for by it."""
    return [*map(str, config.args), f"-k {config.option.keyword}", f"-m {config.option.markexpr}"]


class CellHooks:
    """pytest's hooks around the cells of one run, whose state is `suite`."""

    def __init__(self, config: pytest.Config, suite: SuiteRun) -> None:
        self.config, self.suite = config, suite
        option = config.option
        limit = None if option.cell_memory is None else _bytes(option.cell_memory)
        way = option.cell_load or ""
        # On a cluster a cell runs in a process as well.
        kind: Kind = "inline" if option.cell_executor == "inline" else "process"
        self.local = Local(Settings(kind, option.cell_spin, option.cell_timeout, limit, way))
        self.also: list[Meter] = [] if option.cell_energy is None else [ModelledEnergy(option.cell_energy)]
        self.overrides: dict[str, list[str]] = {axis: getattr(config.option, f"cell_{axis}") for axis in AXES}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        marks = list(metafunc.definition.iter_markers("cells"))
        try:
            if not selection.is_measured(metafunc, marks):
                return
            axes = [matrix.parse_mark(mark.args, mark.kwargs) for mark in marks]
            self.suite.name(axes)
            made = [expand(each, self.overrides) for each in axes]
            matrix.tolerance_of(marks)
        except BenchgateError as error:
            self.suite.errors.append(f"{metafunc.definition.nodeid}: {error}")
            made = []
        cells = list(dict.fromkeys(cell for m in made for cell in m.cells))
        self.suite.left_out += [item for m in made for item in m.left_out]
        values = [(c.model, c.scheme, c.runtime, c.device) for c in cells]
        metafunc.parametrize(AXES, values, ids=[str(cell) for cell in cells])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        suite, cells = self.suite, {item.nodeid: cell_of(item) for item in items}
        suite.collected = {key for key, cell in cells.items() if cell is not None}
        for item in items:
            if cells[item.nodeid] is not None and (
                suite.intercept is not None or not matrix.measures(item.iter_markers("cells"))
            ):
                item.add_marker(pytest.mark.filterwarnings(benchmark_adapter.NOT_USED))
        refusal = selection.refusal(suite, config.option, self.overrides)
        if hasattr(config, "workerinput"):
            refusal = refusal or (selection.NOT_PARALLEL if suite.collected else None)
            if refusal:
                config.workeroutput[REFUSAL] = refusal  # type: ignore[attr-defined]
                items.clear()
        elif refusal:
            raise pytest.UsageError(refusal)
        suite.warned = selection.unmatched_globs(suite, config)

    def pytest_report_collectionfinish(self) -> list[str]:
        return self.suite.header()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly or self.suite.intercept is not None:
            return
        if any(cell_of(item) for item in session.items):
            self.suite.journal.start(list(self.suite.resumed.values()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Build everything before anything is timed; pytest's own loop comes after."""
        cells = {item.nodeid: cell for item in session.items if (cell := cell_of(item)) is not None}
        if not cells or session.config.option.collectonly or self.suite.intercept is not None:
            return
        self.local.share(own_modules(session))
        if self.local.settings.kind == "process":
            resumed = self.suite.resumed
            self.suite.builds.make((c for key, c in cells.items() if key not in resumed), self.local, self._say)

    def _say(self, line: str) -> None:
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(line)

    @pytest.fixture
    def cell(
        self, request: pytest.FixtureRequest, model: str, scheme: str, runtime: str, device: str, benchmark: Any
    ) -> Iterator[MeasuredCell]:
        """One cell of the matrix that the test's `cells` mark spans; see benchgate.pytest_plugin.cell.MeasuredCell."""
        item = request.node
        measured = MeasuredCell(
            Cell(model, scheme, runtime, device),
            item.nodeid,
            params_of(item),
            benchmark,
            benchmark_adapter.options(item, benchmark),
            self.config.option.cell_meters,
            self.suite,
            self.local,
            self.also,
        )
        yield measured
        measured.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        cell, suite = cell_of(item), self.suite
        if cell is None:
            return
        if benchmark_adapter.is_absent(self.config):
            pytest.fail(benchmark_adapter.ABSENT, pytrace=False)
        if suite.begin(item.nodeid) > 1:
            benchmark_adapter.forget(self.config, item.nodeid)
        suite.tolerances[item.nodeid] = matrix.tolerance_of(item.iter_markers("cells"))
        params = plain(params_of(item))
        suite.depends[item.nodeid] = dependencies.before(
            item, cell, params, suite.policy, suite.tolerances[item.nodeid]
        )
        if suite.take_resumed(item.nodeid, cell, lambda: dependencies.artifact_state(cell)):
            pytest.skip("measured before the last run was interrupted (--cell-resume)")
        reason = matrix.missing(cell, self.local.settings.way)
        if reason is not None:
            self._skip_or_fail(item, reason)

    def _skip_or_fail(self, item: pytest.Item, reason: str) -> NoReturn:
        """Skip what cannot be had here, with its reason; under --cell-need fail."""
        cell = cell_of(item)
        if cell is not None and matrix.is_needed(runtimes[cell.runtime], cell.device, self.config.option.cell_need):
            pytest.fail(f"{cell} is needed (--cell-need) and cannot run: {reason}", pytrace=False)
        pytest.skip(reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        answer: Ended | None = None
        try:
            result = yield
        except Ended as ended:
            answer, result = ended, None
        except CannotBeSent as error:
            # A fault of the suite, on each machine: as a skip a gate would stay green and measure nothing.
            pytest.fail(str(error), pytrace=False)
        except Unavailable as unavailable:
            self._skip_or_fail(item, str(unavailable))
        except Exception as error:
            if cell_of(item) is not None and ended_early(error) in matrix.may_end(item.iter_markers("cells")):
                pytest.xfail(f"{ended_early(error)}: {workers.one_line(error)}")
            raise
        if answer is not None and answer.reason:
            # Not where it was caught: pytest would print both.
            pytest.fail(answer.reason, pytrace=False)
        if cell_of(item) is None or answer is not None:
            return result
        suite, key = self.suite, item.nodeid
        if key not in suite.records and matrix.measures(item.iter_markers("cells")):
            pytest.fail(UNMEASURED, pytrace=False)
        failed = suite.verdict(key, benchmark_adapter.timer(item))
        if failed and not suite.accept:
            pytest.fail(failed, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        report = yield
        cell, suite = cell_of(item), self.suite
        if cell is None:
            return report
        if report.when == "call" or not report.passed:
            # Skipped, or dead before there was anything to keep: that too is a result.
            bare = replace(Record.unmeasured(item.nodeid, cell), params=plain(params_of(item)))
            suite.ended(report.when, bare, *outcome_of(report, call.excinfo, suite.waived(item.nodeid)))
        if report.when == "teardown":
            record = suite.finish(item.nodeid, benchmark_adapter.timings(item))
            if record is not None:
                benchmark_adapter.attach(item, record)
        return report

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_benchmark_group_stats(self) -> Generator[None, Any, Any]:
        return benchmark_adapter.shown_groups(self.config, (yield))

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any], benchmarks: list[Any]) -> None:
        benchmark_adapter.with_rounds(output_json, benchmarks)
        self.suite.complete(output_json)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, Any, Any]:
        suite, finished = self.suite, exitstatus in FINISHED
        if finished and not session.config.option.collectonly:
            suite.find_gone(lambda record: selection.covers(session.config, record))
        if suite.strict and suite.gone and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if suite.records and not benchmark_adapter.is_absent(session.config):
            benchmark_adapter.write_although_untimed(session.config)
        result = yield
        # Only now are the results in their file.
        if finished and not (session.shouldstop or session.shouldfail):
            suite.end_journal()
        return result

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        self.local.close()
        self.suite.journal.close()
        if config.option.cell_resume:
            resumable.take_up(False)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.suite.records or self.suite.gone:
            from benchgate.report.summary import print_summary

            print_summary(terminalreporter, self.suite.summary())
        fresh = [f"benchgate: fresh interpreters instead of forks: {reason}" for reason in sorted(self.local.fresh)]
        for note in [*self.suite.notes, *self.suite.journal.notes, *fresh]:
            terminalreporter.write_line(note, yellow=True)


def _bytes(text: str) -> int:
    try:
        return parse_bytes(text)
    except DataError as error:
        raise pytest.UsageError(f"--cell-memory: {error}") from error
