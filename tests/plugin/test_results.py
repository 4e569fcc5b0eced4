"""What a run leaves: the block in the JSON, outcomes, the cell's own methods, the summary."""

import re

import pytest
from fake_project import TWO_CELLS


def test_the_block_in_the_json(project):
    """Every part of it, raw samples in the autosaved file too, and pytest-benchmark's own compare reads it."""
    project.write("test_it.py", TWO_CELLS.replace('("size",)', '("size", "energy")'))
    project.run("--benchmark-json=out.json", "--benchmark-autosave").assert_outcomes(passed=2)
    record = project.records("out.json")["test_speed[fake-a-bf16-fake-cpu]"]
    assert record["schema"] == 1
    assert record["outcome"] == "passed"
    assert record["operation"] == "answer"
    assert record["version"] == "1"
    median, accuracy, size = (record["metrics"][n] for n in ("latency_median_s", "accuracy", "size_bytes"))
    assert (median["unit"], median["better"]) == ("s", "lower")
    assert median["low"] <= median["value"] <= median["high"]
    assert median["n"] >= 5
    assert "order statistics" in median["method"]
    assert accuracy == {
        "value": pytest.approx(0.8), "unit": "1", "better": "higher", "n": 50, "low": 0.7, "high": 0.95,
        "method": "50 made-up answers; Wilson interval",
    }  # fmt: skip
    assert size["value"] == 1004  # the weights and the name of the scheme
    assert record["metrics"]["size_memory_bytes"]["value"] == 1000
    assert record["metrics"]["throughput_per_s"]["unit"] == "1/s"
    assert "n >= 662" in record["missing"]["latency_p99_s"]
    assert record["missing"]["energy_j_per_call"] == "this version of benchgate reads no energy counters"
    assert not record["metrics"].keys() & record["missing"].keys()
    assert record["kernel"] == {"weights": {"dense bf16": 1}}
    assert record["machine"]["cores"] >= 1
    assert record["packages"] == {}
    assert record["details"]["threads"] >= 1
    assert record["details"]["warm_up"]["calls"] >= 3
    [saved] = project.path.glob(".benchmarks/*/0001_*.json")
    for name in ("out.json", str(saved)):
        assert all(len(b["stats"]["data"]) == b["stats"]["rounds"] >= 5 for b in project.json(name)["benchmarks"])
    assert "speed[fake-a-bf16-fake-cpu]" in project.compare("out.json", "--name=short")


BROKEN = """
import pytest

@pytest.mark.cells(model=["fake-a", "fake-b"], runtime="fake")
def test_speed(cell):
    result = cell.measure(meters=("size",))
    assert result["accuracy"] > 0.5
    if cell.cell.model == "fake-b":
        assert result["size_bytes"] < 10, "too fat"
"""


@pytest.mark.parametrize(
    ("event", "outcome", "reason"),
    [
        ("error", "failed", "the fake broke"),
        ("oom", "oom", "no more of it"),
        ("oom-build", "oom", "can't allocate memory"),
        ("nan-output", "failed", "the answer is NaN"),
        ("nan-score", "failed", "accuracy is nan"),
    ],
)
def test_what_becomes_of_a_cell(project, event, outcome, reason):
    """Failed, out of memory, wrong: recorded with the reason, and the run goes on."""
    project.write("test_it.py", BROKEN)
    result = project.run("--benchmark-json=out.json", EVENT=f"fake-a-fp32={event}")
    result.assert_outcomes(failed=2)
    broken, fat = (project.records("out.json")[f"test_speed[fake-{m}-fp32-fake-cpu]"] for m in "ab")
    assert broken["outcome"] == outcome
    assert reason in broken["reason"]
    assert broken["metrics"] == {}
    assert (fat["outcome"], fat["reason"].splitlines()[0]) == ("failed", "too fat")
    assert fat["metrics"]["size_bytes"]["value"] == 1004
    # No timing of a broken measurement stays in pytest-benchmark's own list.
    assert [b["name"] for b in project.json("out.json")["benchmarks"]] == ["test_speed[fake-b-fp32-fake-cpu]"]


def test_an_expected_failure_is_no_skip(project):
    project.write("test_it.py", BROKEN.replace("@pytest.mark.cells", "@pytest.mark.xfail\n@pytest.mark.cells"))
    project.run("--benchmark-json=out.json", ACCURACY="0.1").assert_outcomes(xfailed=2)
    assert set(project.outcomes("out.json").values()) == {"failed"}


def test_switched_off_timing_is_missing_with_a_reason(project):
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-disable", "--benchmark-json=out.json").assert_outcomes(passed=2)
    record = project.records("out.json")["test_speed[fake-a-fp32-fake-cpu]"]
    assert set(record["metrics"]) == {"accuracy", "first_call_s", "size_bytes", "size_memory_bytes"}
    assert "switched off" in record["missing"]["latency_median_s"]
    project.run("--benchmark-skip", "--benchmark-json=skip.json").assert_outcomes(skipped=2)
    assert set(project.outcomes("skip.json").values()) == {"skipped"}


def test_the_cell_and_its_result(project):
    """Reasons in KeyErrors, --meters, references on the same data, the session after a reference, use after close."""
    project.write(
        "test_it.py",
        """
import pytest

class Data:
    def __init__(self, name): self.name = name
    def describe(self): return {"name": self.name}

@pytest.mark.cells(model="fake-a", scheme=["fp32", "bf16"], runtime="fake")
def test_reference(cell, monkeypatch):
    loads = []
    import suite
    monkeypatch.setattr(suite.FakeRuntime, "load", wrap(suite.FakeRuntime.load, loads))
    result = cell.measure(meters=(), data=Data("one"))
    assert cell.reference(data=Data("one"))["accuracy"] == pytest.approx(0.9)
    assert len(loads) == 1  # fp32 was measured in this session already
    assert cell.reference(data=Data("two"))["accuracy"] == pytest.approx(0.9)
    assert len(loads) <= 2  # other data: scored once for both tests
    assert cell.session.scheme == cell.cell.scheme
    assert result["accuracy"] == pytest.approx(0.9 if cell.cell.scheme == "fp32" else 0.8)

def wrap(load, loads):
    def loaded(*args):
        loads.append(load(*args))
        return loads[-1]
    return loaded

@pytest.mark.cells(model="fake-a", runtime="fake")
def test_result(cell):
    first = cell.session
    result = cell.measure(meters=("size",))
    assert first.closed
    with pytest.raises(KeyError, match="latency_p99_s: n=.* needs n >= 662"):
        result["latency_p99_s"]
    with pytest.raises(KeyError, match="top1: not measured; there is: first_call_s, "):
        result["top1"]
    with pytest.raises(KeyError, match="energy_j_per_call: this version"):
        result["energy_j_per_call"]
    assert "top1" not in result
    assert str(cell) == "fake-a-fp32-fake-cpu"
    assert cell.model.name == "fake-a"
""",
    )
    project.run("--meters=energy", "--benchmark-json=out.json").assert_outcomes(passed=3)
    record = project.records("out.json")["test_result[fake-a-fp32-fake-cpu]"]
    assert "size_bytes" not in record["metrics"]


def test_what_the_memory_meter_cannot_be_sent(project):
    """A model made inside a function cannot go to a process of its own: that is a reason, not an error."""
    project.write(
        "test_it.py",
        """
import pytest, suite

def make():
    class Local(suite.FakeModel): ...
    return Local("local")

suite.benchgate.model(make())

@pytest.mark.cells(model="local", runtime="fake")
def test_memory(cell):
    result = cell.measure(meters=("memory",))
    with pytest.raises(KeyError, match="cannot be sent to a process of its own .*Local"):
        result["peak_rss_bytes"]
""",
    )
    project.run("--cell-model=local").assert_outcomes(passed=1)


def test_the_summary_at_80_columns(project, monkeypatch):
    """No table line is wider, with or without a baseline; escape codes only where colour is asked for."""
    monkeypatch.setenv("COLUMNS", "80")
    names = ["a-model-with-a-rather-long-name", "b-model-with-a-longer-name-than-that"]
    text = TWO_CELLS.replace('"fake-a"', str(names)).replace(
        "def test_speed(cell", MANY + "def test_speed(cell, context"
    )
    project.write("test_it.py", text)
    arguments = ("--benchmark-timer=time.process_time", "--benchmark-quiet")
    settings = {"MODELS": ",".join(names)}
    project.run(*arguments, "--benchmark-json=one.json", **settings).assert_outcomes(passed=4)
    plain = project.run(*arguments, "--benchmark-compare=one.json", "--color=no", SPIN=0.0004, **settings)
    lines = plain.stdout.lines
    tables = lines[next(i for i, line in enumerate(lines) if "= benchgate =" in line) + 1 :]
    tables = tables[: next(i for i, line in enumerate(tables) if line.startswith("gate:"))]
    assert any("first call" in line for line in tables)
    assert any("size" in line for line in tables)
    assert max(map(len, tables)) <= 80, max(tables, key=len)
    assert "\x1b" not in plain.stdout.str()
    colour = project.run(*arguments, "--benchmark-compare=one.json", "--color=yes", SPIN=0.0004, **settings)
    summary = colour.stdout.str().partition(" benchgate ")[2]
    assert re.search(r"\x1b\[[0-9;]*31m\+\d+", summary), "a regression's delta is red"


MANY = '@pytest.mark.parametrize("context", [2048], ids=["long"])\n'
