"""What a test asked of its cell, kept in a side of a comparison."""

from __future__ import annotations

import os

import pytest

from benchgate.executors.captured import HASHES, Captured


class Team:
    def __init__(self) -> None:
        self.renewed: list[str | None] = []

    def renew(self) -> None:
        self.renewed.append(os.environ.get(HASHES))


def test_the_zygotes_that_follow_have_the_hashes_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HASHES, raising=False)
    captured = object.__new__(Captured)
    captured._team = team = Team()

    captured.renew(7)
    assert os.environ[HASHES] == "7"
    captured.renew(None)

    # The old ones end first; an end without a successor changes nothing.
    assert team.renewed == [None, "7"]
    assert os.environ.pop(HASHES) == "7"
