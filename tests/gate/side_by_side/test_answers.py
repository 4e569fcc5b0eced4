"""The answers of a run against another version: their order, what fails, and the way through a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import DataError
from benchgate.gate.findings import Finding
from benchgate.gate.side_by_side.answers import KINDS, CellAnswer, GateAnswers, confirmed, read_answers
from benchgate.gate.side_by_side.verdict import Change, Verdict

numbers = st.floats(allow_nan=False, allow_infinity=False)
changes = st.none() | st.builds(Change, numbers, numbers, numbers)
verdicts = st.builds(
    Verdict,
    st.sampled_from(KINDS),
    st.text(),
    st.sampled_from([None, "wall"]),
    changes,
    st.integers(0, 30),
    notes=st.lists(st.text()).map(tuple),
    beside=st.dictionaries(st.text(), changes.filter(lambda change: change is not None)),
)
cells = st.builds(
    CellAnswer, st.text(), st.dictionaries(st.text(), verdicts, min_size=1), st.lists(st.text()).map(tuple)
)


@given(st.builds(GateAnswers, st.text(), st.text(), st.lists(cells).map(tuple), seconds=numbers))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, answers: GateAnswers) -> None:
    file = tmp_path_factory.mktemp("answers") / "gate.json"
    file.write_text(answers.as_json(), encoding="utf-8")

    assert read_answers(file) == answers


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"cells": None},
        {"cells": [{"test": "t", "changed": [], "verdicts": {}}]},
        {"cells": [{"test": "t", "changed": [], "verdicts": {"time": {"kind": "fine"}}}]},
        {"gone": "x"},
        {"baseline": 3},
    ],
)
def test_what_is_no_answer_is_refused_with_the_way_to_one(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "gate.json"
    file.write_text(json.dumps({**json.loads(GateAnswers("a", "b").as_json()), **change}))

    with pytest.raises(DataError, match=r"gate\.json.*--gate-report"):
        read_answers(file)


def test_the_worst_verdict_is_the_cells() -> None:
    cell = CellAnswer("t", {"time": Verdict("same"), "size_bytes": Verdict("regressed")})

    assert cell.kind == "regressed"
    assert cell.fails()


@pytest.mark.parametrize(
    ("verdict", "kind", "fails"),
    [
        (Verdict("regressed"), "regressed", True),
        (Verdict("broken", broken="candidate"), "regressed", True),
        (Verdict("same"), "unchanged", False),
        (Verdict("improved"), "unchanged", False),
        (Verdict("code not exercised"), "unchanged", False),
        (Verdict("inconclusive"), "suspicious", False),
        (Verdict("not comparable", "no such cell"), "suspicious", False),
        (Verdict("broken", broken="baseline"), "suspicious", False),
    ],
)
def test_a_suspicious_time_is_decided_side_by_side_or_stays_so(verdict: Verdict, kind: str, fails: bool) -> None:
    size = Finding("regressed", "t", "size_bytes", 2.0, 1.0, 0.01)
    time = Finding("suspicious", "t", "latency_median_s", 2.0, 1.0, 0.2)

    found = confirmed([size, time], CellAnswer("t", {"time": verdict}))

    assert found[0] == size
    assert (found[1].kind, found[1].fails()) == (kind, fails)
    assert "side by side: " in found[1].reason


def test_a_gone_cell_fails_a_strict_run_only() -> None:
    answers = GateAnswers("a", "b", (CellAnswer("t", {"time": Verdict("same")}),), gone=("u",))

    assert not answers.fails()
    assert answers.fails(strict=True)
    assert answers.counts() == {"same": 1}


def test_what_weighs_most_is_told_first_and_what_is_the_same_by_its_name() -> None:
    cell = CellAnswer(
        "t",
        {
            "time": Verdict("same", change=Change(0.001, 0.0, 0.002)),
            "size_bytes": Verdict("same", "1000 -> 1000 B"),
            "perplexity": Verdict("regressed", "28 -> 61"),
        },
        ("model.py",),
    )

    assert str(cell) == "perplexity regressed: 28 -> 61; same: +0.10%; the same: size_bytes [changed: model.py]"
