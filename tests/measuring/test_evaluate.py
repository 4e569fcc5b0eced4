"""`benchgate evaluate` with a fake runtime: figures, tables, the file, and what it says when something is amiss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchgate.commands import main as cli
from benchgate.core import BenchgateError, Cell, Registry, Unavailable, models, runtimes
from benchgate.measuring.evaluate import WRONG, Order, _shown, evaluate
from benchgate.report.evaluation import evaluation_tables
from benchgate.report.grid import rendered
from benchgate.results import read_records, write_records
from benchgate.tasks.text2text import rewrites
from benchgate.tasks.text2text.rewrites import Rewrite, Split
from tests.tasks.text2text.fakes import FakeModel, FakeRuntime, a_set

HERE = Path(__file__).parent
CELL = Cell("fake-rewriter", "fp32", "fake-runtime", "cpu")
ITEMS = [
    Rewrite((), "Weather in Rome?", "weather in rome", "clean"),
    Rewrite(("how old is ada",), "and grace", "how old is grace", "ellipsis"),
    Rewrite(("who is ada",), "how old is she", "how old is ada", "pronoun"),
]


def says(context, query):
    """Right about the clean one and about Grace, wrong about Ada."""
    return "how old is grace" if query == "and grace" else query


class Clock:
    """Every reading is later by one more millisecond than the one before it."""

    now, step = 0.0, 0.0

    def __call__(self) -> float:
        self.step = 1.1 * self.step + 0.001
        self.now += self.step
        return self.now


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    """A fake model and runtime beside the real ones, splits of our own, and a clock that only moves when read."""
    registry: Registry[Split] = Registry("data split")
    for name in ("dev", "test"):
        registry.add(Split(name, lambda name=name: a_set(*ITEMS, name=f"our-{name}")))
    monkeypatch.setattr(rewrites, "splits", registry)
    monkeypatch.setattr("benchgate.commands.suite.load", lambda names, parts: None)
    monkeypatch.setattr("benchgate.tasks.text2text.task.time.perf_counter", Clock())
    with models.extended(FakeModel(says)), runtimes.extended(FakeRuntime()):
        yield


def order(*data, limit=None, threads=1, beams=1, shown=0):
    return Order(data or ("test",), limit, threads, beams, shown)


def test_the_seed_draws_the_same_answers_every_time():
    items = [Rewrite((), f"query {n}", "x", id=str(n)) for n in range(100)]
    drawn = [[one["id"] for one in _shown(items, ["x"] * 100, 10)] for _ in range(3)]
    assert drawn[0] == drawn[1] == drawn[2] != [str(n) for n in range(10)]


def test_answers_are_shown_as_a_seed_draws_them():
    (record,) = evaluate(CELL, order(shown=2))
    drawn = record.details["shown"]
    assert len(drawn) == 2
    assert drawn == evaluate(CELL, order(shown=2))[0].details["shown"]
    assert {one["right"] for one in evaluate(CELL, order(shown=9))[0].details["shown"]} == {True, False}
    (answers,) = [table for table in evaluation_tables([record]) if table.title == "2 answers, drawn by a seed"]
    assert [row[2] for row in answers.rows] == [one["query"] for one in drawn]
    assert not evaluate(CELL, order())[0].details["shown"]
    with pytest.raises(BenchgateError, match="--show -1: at least 0 is needed"):
        order(shown=-1)


def test_a_record_has_quality_and_times_of_the_same_calls():
    (record,) = evaluate(CELL, order())
    assert record.is_baseline
    assert record.metrics["exact_match"].examples == (1, 1, 0)
    assert record.metrics["exact_match_copy"].value == pytest.approx(1 / 3)
    assert record.metrics["latency_mean_s"].n == 3
    median = record.metrics["latency_median_s"].value
    assert median != record.metrics["latency_mean_s"].value
    assert record.metrics["throughput_per_s"].value == pytest.approx(1 / median)
    assert record.missing["latency_p99_s"] == "n=3: a 99 % bound for P99 needs n >= 662"
    assert {n: found["exact_match"]["value"] for n, found in record.details["by_phenomenon"].items()} == {
        "clean": 1,
        "ellipsis": 1,
        "pronoun": 0,
    }
    assert [(wrong["query"], wrong["answer"]) for wrong in record.details["wrong"]] == [("how old is she",) * 2]


def test_wrong_answers_are_kept_in_bounds(monkeypatch):
    long = Rewrite(("c" * 5000,), "q" * 5000, "r" * 5000)
    monkeypatch.setattr(rewrites, "load", lambda name: a_set(*[long] * (WRONG + 7)))
    (record,) = evaluate(CELL, order())
    assert len(record.details["wrong"]) == WRONG
    assert len(json.dumps(record.details["wrong"])) < WRONG * 4500


def test_each_data_set_has_its_record_and_a_sample_says_so(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(rewrites.to_jsonl([Rewrite((), f"a {i}", "b") for i in range(9)]))
    records = evaluate(CELL, order("dev", str(path), limit=5))
    assert [r.details["data"]["dataset"] for r in records] == ["our-dev", "mine"]
    assert [r.details["data"]["n"] for r in records] == [3, 5]
    assert len({record.key for record in records}) == 2
    assert "mine (5 of 9, seed 0)" in rendered(evaluation_tables(records), "terminal", 112)


def test_what_is_written_is_read_as_records(tmp_path):
    records = evaluate(CELL, order())
    write_records(tmp_path / "out.json", records)
    (found,) = read_records(tmp_path / "out.json")
    assert found.metrics["exact_match"] == records[0].metrics["exact_match"]
    assert rendered(evaluation_tables([found]), "terminal", 112) == rendered(
        evaluation_tables(records), "terminal", 112
    )


def test_the_tables_are_the_golden_ones():
    text = rendered(evaluation_tables(evaluate(CELL, order())), "terminal", 112)
    assert text == (HERE / "golden_evaluation.txt").read_text(encoding="utf-8")


def test_the_command_prints_both_tables_and_writes_the_file(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert cli.main(["evaluate", "fake-rewriter-fp32-fake-runtime-cpu", "--json", str(path), "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "all, query copied" in out
    assert "P95 ms" in out
    assert cli.main(["report", str(path), "--table", "latency", "--format", "json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert table["rows"][0]["calls"] == 3
    assert table["rows"][0]["average ms"] > 0
    assert table["rows"][0]["P99 ms"] is None


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"threads": 0}, {"beams": -1}])
def test_a_number_below_one_is_refused_by_its_option(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(BenchgateError, match=f"--{name} {value}: at least 1 is needed"):
        order(**wrong)


def test_a_model_that_is_not_trained_says_what_to_type(capsys, monkeypatch):
    def load(self, path, model, device, threads):
        raise Unavailable("fake-rewriter is not trained; benchgate train fake-rewriter")

    monkeypatch.setattr(FakeRuntime, "load", load)
    assert cli.main(["evaluate", "fake-rewriter", "--runtime", "fake-runtime"]) == cli.UNUSABLE
    assert capsys.readouterr().err == "benchgate: fake-rewriter is not trained; benchgate train fake-rewriter\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fake-rewritr", "--runtime", "fake-runtime"], "did you mean 'fake-rewriter'"),
        (["fake-rewriter", "--runtime", "fake-runtime", "--data", "tset"], "give 'dev', 'test', or a JSONL file"),
        (["fake-rewriter", "--runtime", "fake-runtime", "--json", "/absent/out.json"], "cannot be written"),
    ],
)
def test_errors_name_what_was_wrong(capsys, arguments, said):
    assert cli.main(["evaluate", *arguments]) == cli.UNUSABLE
    assert said in capsys.readouterr().err


def test_the_session_is_closed_also_when_data_is_missing(monkeypatch):
    sessions = []
    load = FakeRuntime.load
    monkeypatch.setattr(FakeRuntime, "load", lambda *a: sessions.append(load(*a)) or sessions[-1])
    with pytest.raises(BenchgateError):
        evaluate(CELL, order("absent.jsonl"))
    assert [session.closed for session in sessions] == [True]
