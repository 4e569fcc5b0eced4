"""Settings of spinning: a known name gives its variables, the user's own are left."""

from __future__ import annotations

import pytest

from benchgate.core import UnknownName
from benchgate.machine import spinning


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*spinning.VARIABLES, spinning.NAME):
        monkeypatch.delenv(name, raising=False)


def test_a_setting_is_an_environment():
    assert spinning.environment("short")["GOMP_SPINCOUNT"] == "1000"
    assert spinning.environment("library") == {spinning.NAME: "library"}
    assert spinning.DEFAULT in spinning.SETTINGS


def test_what_the_user_set_is_left(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert spinning.environment("short") == {spinning.NAME: "short"}
    assert spinning.in_force() == {
        "spin": "library",
        "omp_wait_policy": "ACTIVE",
        "gomp_spincount": "default",
        "kmp_blocktime": "default",
    }


def test_a_pool_without_variables_of_its_own_asks(monkeypatch):
    assert spinning.allowed()
    monkeypatch.setenv(spinning.NAME, "short")
    assert not spinning.allowed()
    assert spinning.in_force()["spin"] == "short"


def test_an_unknown_setting_is_named():
    with pytest.raises(UnknownName, match="unknown --cell-spin 'shrt'; did you mean 'short'"):
        spinning.environment("shrt")
