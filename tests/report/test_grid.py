"""A table in a terminal: what gives way where it is narrow."""

from __future__ import annotations

from benchgate.report.grid import Grid, terminal

SENTENCE = "a sentence that has to be folded where there is no room for it"


def test_a_name_is_whole_and_the_sentence_folds():
    lines = terminal(Grid("", ("cell", "why"), (("int4-weight-only torch", SENTENCE),)), 60).splitlines()
    assert lines[1].startswith("int4-weight-only torch  a sentence")
    assert len(lines) > 2
    assert max(map(len, lines)) <= 60


def test_a_name_of_half_the_width_folds_and_nothing_of_it_is_lost():
    name = "x" * 50
    text = terminal(Grid("", ("cell", "why"), ((name, SENTENCE),)), 60)
    assert text.count("x") == 50
    assert max(map(len, text.splitlines())) <= 60
