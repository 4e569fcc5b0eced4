"""Durations as people write them."""

from __future__ import annotations

import pytest

from benchgate.core import DataError, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5us", 1.5e-6), ("200ms", 0.2), (" 2 s", 2.0), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2m ", 120)],
)
def test_durations(text, seconds):
    assert parse_seconds(text, "a budget") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "m", "0s", "0ms", "-1m", "nanm", "infh", "10 minutes", "1d", "9" * 400 + "h"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(DataError, match=r"a budget '.*' is no time; write for example 200ms, 90s, 10m or 1h"):
        parse_seconds(text, "a budget")
