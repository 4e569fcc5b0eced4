"""The data fixtures of a suite that has cells. A fixture of the same name that somebody has stays theirs."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

import pytest

from benchgate.core import BenchgateError, DataError, Unavailable, support
from benchgate.pytest_plugin.data_options import DataFixture, data_fixtures
from benchgate.pytest_plugin.names import DATA, FIXTURES


def register(session: pytest.Session) -> None:
    """Register the fixtures whose names no plugin has; those of conftest files and tests go before ours anyway."""
    free = [each for each in data_fixtures() if not _defined(session, each.name, session)]
    hooks = DataHooks(session.config, free)
    session.config.pluginmanager.register(hooks, DATA)
    # Functions of a module, as pytest 10 takes no methods of a class for fixtures of a session.
    fixtures = ModuleType(FIXTURES)
    vars(fixtures).update({each.name: _fixture(each, hooks) for each in free}, __file__=__file__)
    session.config.pluginmanager.register(fixtures, FIXTURES)


def _defined(session: pytest.Session, name: str, node: pytest.Item | pytest.Session) -> Any:
    # pytest has no public way to ask for the fixtures of a name.
    return session._fixturemanager.getfixturedefs(name, node)


def _fixture(each: DataFixture, hooks: DataHooks) -> Any:
    def chosen() -> Any:
        try:
            return hooks.loaded(each.name)
        except Unavailable as error:
            pytest.skip(str(error))
        except BenchgateError as error:
            pytest.fail(str(error), pytrace=False)

    chosen.__doc__ = each.about
    return pytest.fixture(scope="session", name=each.name)(chosen)


class DataHooks:
    """The data of a run, each loaded once and where a test asks for it."""

    def __init__(self, config: pytest.Config, fixtures: list[DataFixture]) -> None:
        self.config, self.fixtures = config, {each.name: each for each in fixtures}
        self.loaded = cache(self._load)

    def _load(self, fixture: str) -> Any:
        each = self.fixtures[fixture]
        given = {name: self.config.getoption(f"--cell-{name}") for name in ("samples", *each.options)}
        return support.imported(each.load)(**given)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Refuse the run for a broken file before anything is built."""
        if session.config.option.collectonly:
            return
        for name in self.fixtures:
            if any(_uses(item, name) for item in session.items):
                try:
                    self.loaded(name)
                except DataError as error:
                    raise pytest.UsageError(str(error)) from None
                except BenchgateError:
                    # What cannot be fetched fails the tests that need it, and no others.
                    continue


def _uses(item: pytest.Item, name: str) -> bool:
    """True for a test that has our fixture of the name, not one of its own."""
    if name not in getattr(item, "fixturenames", ()):
        return False
    found = _defined(item.session, name, item)
    return bool(found) and found[-1].func.__module__ == __name__
