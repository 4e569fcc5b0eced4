"""A project of its own for the commands, and where their code is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder whose conftest.py registers the echo model and its runtime."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.serving.echo_suite"]\n')
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    """For a process that must find benchgate and the echo suite."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
