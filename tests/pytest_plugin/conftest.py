"""The project that the plugin tests run pytest in."""

from __future__ import annotations

import pytest

from tests.pytest_plugin.fake_project import Project


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the fake suite."""
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Project(pytester, monkeypatch)
