"""Settings of spinning: a known name gives its variables, the user's own are left."""

from __future__ import annotations

import pytest

from benchgate.core import UnknownName
from benchgate.machine import spinning


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in spinning.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_setting_is_an_environment():
    assert spinning.environment("short")["GOMP_SPINCOUNT"] == "1000"
    assert spinning.environment("library") == {}
    assert spinning.DEFAULT in spinning.SETTINGS


def test_what_the_user_set_is_left(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert spinning.environment("short") == {}
    assert spinning.in_force() == {
        "omp_wait_policy": "ACTIVE",
        "gomp_spincount": "default",
        "kmp_blocktime": "default",
    }


def test_an_unknown_setting_is_named():
    with pytest.raises(UnknownName, match="unknown --cell-spin 'shrt'; did you mean 'short'"):
        spinning.environment("shrt")
