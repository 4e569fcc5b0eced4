"""The answers of a gate run as Markdown, JUnit, JSON and annotations: what is told, what fails, whose names do harm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.commands import main as cli
from benchgate.core import BenchgateError
from benchgate.gate.side_by_side.answers import KINDS, CellAnswer, GateAnswers, read_answers
from benchgate.gate.side_by_side.verdict import Change, Verdict
from benchgate.report.gate_formats import annotations, as_grid, changed, write
from benchgate.report.gate_markdown import as_markdown
from benchgate.report.grid import rendered

SLOWER = Verdict("regressed", "", "wall", Change(0.052, 0.041, 0.063), pairs=12, zygotes=4)
SAME = Verdict("same", "", "wall", Change(0.001, -0.004, 0.006), pairs=3, zygotes=1)
NOISY = Verdict("inconclusive", decide="about 40 pairs would decide it")
APART = Verdict("not comparable", "the baseline has no such test")
# Of kind -> (fails, fails strictly, level of its annotation, level in a strict run)
TABLE = {
    "regressed": (True, True, "error", "error"),
    "broken": (True, True, "error", "error"),
    "inconclusive": (False, True, "warning", "error"),
    "not comparable": (False, True, "warning", "error"),
    "improved": (False, False, "notice", "notice"),
    "same": (False, False, None, None),
    "code not exercised": (False, False, None, None),
    "unchanged": (False, False, None, None),
}


def an_answer(name: str = "t", changes: tuple[str, ...] = (), **verdicts: Verdict) -> CellAnswer:
    return CellAnswer(f"benchmarks/test_x.py::test_{name}[m-fp32-torch-cpu]", verdicts or {"time": SAME}, changes)


def some(*cells: CellAnswer, **fields: object) -> GateAnswers:
    return GateAnswers("main (1234567)", "working tree", cells, **fields)  # type: ignore[arg-type]


def of_kind(kind: str) -> GateAnswers:
    broken = "candidate" if kind == "broken" else ""
    return some(an_answer(time=Verdict(kind, "why", broken=broken)))  # type: ignore[arg-type]


MIXED = some(
    an_answer("same"),
    an_answer("noisy", time=NOISY),
    an_answer("slow", ("pkg.layers", "torch 2.9 -> 2.10"), size_bytes=Verdict("unchanged"), time=SLOWER),
    gone=("benchmarks/test_x.py::test_old",),
    notes=("the working tree has changes that are not committed",),
    seconds=61.0,
    load=1.5,
    environment={"cpu": "Quiet CPU 9000"},
)


def test_the_table_has_every_kind() -> None:
    assert tuple(TABLE) == KINDS


def test_markdown_tells_what_changed_first() -> None:
    lines = as_markdown(MIXED).splitlines()

    assert lines[0] == "### benchgate: 1 regressed, 1 inconclusive of 3 cells; 1 test gone"
    table = [line for line in lines if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table] == ["| verdict", "| **regressed**", "| inconclusive"]
    assert table[1].split(" | ")[3:] == [
        "+5.2% (95 %: +4.1% to +6.3%)", "12", "<code>pkg.layers</code>; <code>torch 2.9 -&gt; 2.10</code> |",
    ]  # fmt: skip
    assert "about 40 pairs would decide it" in table[2]
    folded = lines[lines.index("<details><summary>2 verdicts without a change</summary>") :]
    assert any("test\\_same" in line or "test_same" in line for line in folded)
    assert "- <code>benchmarks/test_x.py::test_old</code>" in lines


@pytest.mark.parametrize(
    ("answers", "first", "worth"),
    [
        (some(an_answer(), an_answer("u")), "nothing changed in 2 cells", False),
        (some(an_answer(), an_answer("u", time=NOISY)), "no change found, 1 inconclusive of 2 cells", False),
        (some(an_answer(time=APART)), "no change found, 1 not comparable of 1 cell", False),
        (some(an_answer(time=SLOWER)), "1 regressed of 1 cell", True),
        (some(an_answer(time=SAME, size_bytes=Verdict("improved"))), "1 improved of 1 cell", True),
        (some(an_answer(time=Verdict("broken", broken="baseline"))), "1 broken of 1 cell", True),
        (some(an_answer(), gone=("x", "y")), "2 tests gone", True),
        (some(), "no cell was measured", False),
    ],
)
def test_the_first_line_and_whether_a_comment_is_worth_writing(answers: GateAnswers, first: str, worth: bool) -> None:
    assert as_markdown(answers).splitlines()[0] == f"### benchgate: {first}"
    assert changed(answers) is worth


def test_a_strict_run_that_fails_is_worth_a_comment_and_says_so() -> None:
    answers = some(an_answer(time=NOISY))
    assert changed(answers, strict=True)
    assert "This fails the run." in as_markdown(answers, strict=True)
    assert "This fails the run." not in as_markdown(answers)


def test_a_thousand_cells_fit_into_a_comment_and_what_is_left_off_is_counted() -> None:
    slow = [an_answer(f"slow{i}", ("module " * 60,), time=SLOWER) for i in range(1000)]
    text = as_markdown(some(*slow, *(an_answer(f"same{i}") for i in range(1000)), notes=("note " * 80,) * 1000))

    assert len(text) < 65_536
    shown = text.count("**regressed**")
    assert 0 < shown < 1000
    assert f"| {1000 - shown} more are in the JSON |" in text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strict", [False, True])
def test_junit_has_a_case_a_verdict(tmp_path: Path, kind: str, strict: bool) -> None:
    answers = of_kind(kind)
    write(answers, tmp_path / "gate.xml", strict)
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    (case,) = suite

    fails = TABLE[kind][strict]
    assert fails == answers.fails(strict)
    assert case.get("name") == "benchmarks/test_x.py::test_t[m-fp32-torch-cpu]: time"
    skipped = not fails and kind in ("inconclusive", "not comparable")
    assert [element.tag for element in case] == ["failure" if fails else "skipped" if skipped else "system-out"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (
        "1",
        str(int(fails)),
        str(int(skipped)),
    )


@pytest.mark.parametrize(("strict", "tag"), [(False, "skipped"), (True, "failure")])
def test_a_baseline_that_broke_and_a_test_that_is_gone_are_no_passes(tmp_path: Path, strict: bool, tag: str) -> None:
    write(some(an_answer(time=Verdict("broken", broken="baseline")), gone=("old",)), tmp_path / "gate.xml", strict)
    cases = list(ElementTree.parse(tmp_path / "gate.xml").getroot())

    assert [[element.tag for element in case] for case in cases] == [[tag], [tag]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strict", [False, True])
def test_annotations_are_of_what_changed_or_was_not_decided(kind: str, strict: bool) -> None:
    level = TABLE[kind][2 + strict]
    found = annotations(of_kind(kind), strict, "services/ranker")

    if level is None:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f"::{level} file=services/ranker/benchmarks/test_x.py,title={kind}%3A time::")


def test_annotations_escape_as_workflow_commands_do() -> None:
    cell = CellAnswer("a,b:c%.py::t[x\n::error::y]", {"time": Verdict("regressed", "50% slower,\rso: it fails")})
    (line,) = annotations(some(cell))

    assert line == (
        "::error file=a%2Cb%3Ac%25.py,title=regressed%3A time::"
        "a,b:c%25.py::t[x ::error::y]: regressed: 50%25 slower, so: it fails"
    )


def test_a_test_that_is_gone_is_annotated() -> None:
    answers = some(gone=("benchmarks/x.py::old",))
    assert annotations(answers)[0].startswith("::warning title=gone::benchmarks/x.py::old: ")
    assert annotations(answers, strict=True)[0].startswith("::error title=gone::")


HOSTILE = "@org/team #1 <script>|[x](y)`\n\x1b[31m\u202e/close ::error::z"


def hostile() -> GateAnswers:
    verdict = Verdict("regressed", HOSTILE, decide=HOSTILE, notes=(HOSTILE,))
    cells = CellAnswer(HOSTILE, {HOSTILE: verdict, "time": SAME}, (HOSTILE,))
    return GateAnswers(HOSTILE, HOSTILE, (cells,), (HOSTILE,), (HOSTILE,), environment={HOSTILE: HOSTILE})


def test_names_do_no_harm_in_markdown() -> None:
    text = as_markdown(hostile())

    assert "@" in text
    outside = re.sub(r"<code>.*?</code>", "", text)
    assert not re.search(r"[@#]\w", outside), "a mention, or a reference to another thread"
    assert "<script" not in text
    assert text.isascii()
    assert "\x1b" not in text
    assert not re.search(r"^\s*/", text, re.MULTILINE), "a quick action of GitLab"
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [7] * 2


def test_names_do_no_harm_elsewhere(tmp_path: Path) -> None:
    write(hostile(), tmp_path / "gate.xml", strict=True)
    assert "\x1b" not in (tmp_path / "gate.xml").read_text()
    assert len(ElementTree.parse(tmp_path / "gate.xml").getroot()) == 3
    assert all("\n" not in line and "\x1b" not in line for line in annotations(hostile()))
    assert "\x1b" not in rendered([as_grid(hostile())], "terminal", 200)


texts = st.text(max_size=20)
changes = st.none() | st.just(Change(float("inf"), float("-inf"), float("nan")))
verdicts = st.builds(
    Verdict, st.sampled_from(KINDS), texts, change=changes,
    broken=st.sampled_from(["", "candidate", "baseline"]), notes=st.lists(texts, max_size=2).map(tuple),
)  # fmt: skip
cells = st.builds(
    CellAnswer, texts, st.dictionaries(texts, verdicts, min_size=1, max_size=3), st.lists(texts).map(tuple)
)


@given(st.builds(GateAnswers, texts, texts, st.lists(cells, max_size=4).map(tuple), st.lists(texts).map(tuple)))
def test_whatever_the_texts_every_format_is_written_and_well_formed(
    tmp_path_factory: pytest.TempPathFactory, answers: GateAnswers
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    for suffix in (".json", ".md", ".xml"):
        write(answers, folder / f"gate{suffix}", strict=True)
    suite = ElementTree.parse(folder / "gate.xml").getroot()
    assert len(suite) == sum(len(cell.verdicts) for cell in answers.cells) + len(answers.gone)
    assert (int(suite.attrib["failures"]) > 0) == answers.fails(strict=True)
    rows = [line for line in (folder / "gate.md").read_text(encoding="utf-8").split("\n") if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)
    assert all("\n" not in line for line in annotations(answers))


def test_json_is_read_again(tmp_path: Path) -> None:
    write(MIXED, tmp_path / "gate.json", strict=False)
    assert read_answers(tmp_path / "gate.json") == MIXED


@pytest.mark.parametrize("name", ["gate.txt", "gate", "gate.md.bak"])
def test_an_unknown_suffix_names_the_allowed_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchgateError, match=rf"{re.escape(name)}: .*\.json, \.md, \.xml"):
        write(MIXED, tmp_path / name, strict=False)


def test_a_place_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(BenchgateError, match="another place"):
        write(MIXED, tmp_path / "no" / "gate.md", strict=False)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write(MIXED, tmp_path / "gate.json", strict=False)
    return tmp_path / "gate.json"


def test_answers_shows_a_table(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["answers", str(stored)]) == 0
    out = capsys.readouterr().out
    assert "1 regressed, 1 inconclusive of 3 cells; 1 test gone" in out
    assert "gone: benchmarks/test_x.py::test_old" in out


def test_answers_turns_one_file_into_others(stored: Path, tmp_path: Path) -> None:
    out = [tmp_path / "gate.md", tmp_path / "gate.xml"]
    assert cli.main(["answers", str(stored), "-o", str(out[0]), "--out", str(out[1])]) == 0
    assert out[0].read_text() == as_markdown(MIXED)
    assert len(ElementTree.parse(out[1]).getroot()) == 5


def test_answers_writes_no_comment_where_nothing_changed(tmp_path: Path) -> None:
    quiet, comment = tmp_path / "gate.json", tmp_path / "comment.md"
    write(some(an_answer(time=NOISY)), quiet, strict=False)

    assert cli.main(["answers", str(quiet), "--if-changed", "-o", str(comment)]) == 0
    assert not comment.exists()
    assert cli.main(["answers", str(quiet), "--if-changed", "--strict", "-o", str(comment)]) == 0
    assert comment.exists()


@pytest.mark.parametrize("content", [None, "{", "[]", json.dumps({"schema": 99})])
def test_answers_of_another_file_are_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "gate.json"
    if content is not None:
        file.write_text(content)
    assert cli.main(["answers", str(file)]) == cli.UNUSABLE
    assert "--gate-report" in capsys.readouterr().err
