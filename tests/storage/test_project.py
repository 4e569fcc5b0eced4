"""The root of a project, found from a folder within."""

from __future__ import annotations

import pytest

from benchgate.core import BenchgateError
from benchgate.storage.project import find_root, read_settings


@pytest.fixture
def repository(tmp_path):
    """A repository within a folder that has a conftest and settings of its own; `src/deep` is where one stands."""
    (tmp_path / "conftest.py").write_text("raise RuntimeError('a stranger')")
    (tmp_path / "pyproject.toml").write_text("[tool.benchgate.gate]\n")
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "src" / "deep").mkdir(parents=True)
    return root


def test_settings_go_before_a_nearer_conftest(repository):
    (repository / "pyproject.toml").write_text("[tool.benchgate.gate]\nsize_bytes = 0.5\n")
    (repository / "src" / "conftest.py").write_text("")
    assert find_root(repository / "src" / "deep") == repository
    assert read_settings(repository) == {"gate": {"size_bytes": 0.5}}


def test_the_nearest_conftest_where_there_are_no_settings(repository):
    (repository / "pyproject.toml").write_text("[tool.other]\n")
    (repository / "conftest.py").write_text("")
    (repository / "src" / "conftest.py").write_text("")
    assert find_root(repository / "src" / "deep") == repository / "src"


def test_nothing_outside_of_the_repository_is_taken(repository):
    assert find_root(repository / "src" / "deep") == repository / "src" / "deep"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[tool.benchgate", "not valid TOML"),
        (b"\xff", "not valid TOML"),
        (b"tool = 3", None),
        (b"[tool]\nbenchgate = 3", r"\[tool.benchgate\] must be a table, got 3"),
        (b"[tool.benchgate]\ngat = 3", "unknown entry 'gat'; did you mean 'gate'"),
    ],
)
def test_settings_that_are_none(tmp_path, content, said):
    (tmp_path / "pyproject.toml").write_bytes(content)
    if said is None:
        assert read_settings(tmp_path) == {}
        return
    with pytest.raises(BenchgateError, match=said):
        read_settings(tmp_path)
