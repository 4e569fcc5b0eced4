"""What a run leaves: the block in the JSON, outcomes, the cell's own methods, the summary."""

import re

import pytest

from tests.pytest_plugin.fake_project import TWO_CELLS


def test_the_block_in_the_json(project):
    """Every part of it, raw samples in the autosaved file too, and pytest-benchmark's own compare reads it."""
    project.write("test_it.py", TWO_CELLS.replace('("size",)', '("size", "energy")'))
    project.run("--benchmark-json=out.json", "--benchmark-autosave").assert_outcomes(passed=2)
    record = project.records("out.json")["test_speed[fake-a-bf16-fake-cpu]"]
    assert record["schema"] == 2
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
    assert record["missing"]["energy_j_per_call"].startswith("no energy counter can be read here")
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
        ("timeout", "timeout", "not done within 5 s"),
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
    # All that is known of it but the figures: a table has a row for it, a comparison its machine.
    assert (broken["operation"], broken["version"]) == ("", "1")
    assert broken["machine"] == fat["machine"]
    assert broken["details"] == {"threads": fat["details"]["threads"], "task": "faking"}
    assert (fat["outcome"], fat["reason"].splitlines()[0]) == ("failed", "too fat")
    assert fat["metrics"]["size_bytes"]["value"] == 1004
    # No timing of a broken measurement stays in pytest-benchmark's own list.
    assert [b["name"] for b in project.json("out.json")["benchmarks"]] == ["test_speed[fake-b-fp32-fake-cpu]"]


ENDS_EARLY = """
import pytest

@pytest.mark.cells(model="fake-a", runtime="fake")
@pytest.mark.parametrize("context", [128])
@pytest.mark.xfail(raises=(MemoryError, TimeoutError))
def test_speed(cell, context):
    cell.measure("answer", batch=8, meters=())
"""


@pytest.mark.parametrize("event", ["oom", "timeout"])
def test_a_cell_that_may_end_early_is_a_row_with_its_parameters_and_no_failure(project, event):
    project.write("test_it.py", ENDS_EARLY)
    result = project.run("--benchmark-json=out.json", EVENT=f"fake-a-fp32={event}")
    result.assert_outcomes(xfailed=1)
    assert result.ret == 0
    [record] = project.records("out.json").values()
    assert record["outcome"] == event
    assert (record["operation"], record["params"]) == ("answer", {"context": 128, "batch": 8})


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
    """Reasons in KeyErrors, --cell-meters, references on the same data, the session after one, use after close."""
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
    with pytest.raises(KeyError, match="energy_j_per_call: no energy counter can be read here"):
        result["energy_j_per_call"]
    assert "top1" not in result
    assert str(cell) == "fake-a-fp32-fake-cpu"
    assert cell.model.name == "fake-a"
""",
    )
    project.run("--cell-meters=energy", "--benchmark-json=out.json").assert_outcomes(passed=3)
    record = project.records("out.json")["test_result[fake-a-fp32-fake-cpu]"]
    assert "size_bytes" not in record["metrics"]


def test_floors_fidelity_and_single_results_are_in_the_record(project):
    """A floor that fails fails the test; an undecidable one passes and is named; both models are loaded at once."""
    project.write(
        "test_it.py",
        """
import pytest, suite
from benchgate import BenchgateError, Metric
from benchgate.core import tasks
from benchgate.gate.paired import judge

def fidelity(self, reference, session, model, data):
    assert not reference.closed and not session.closed
    assert (reference.scheme, session.scheme) == ("fp32", "bf16")
    self.compared = reference
    return {"kl_mean": Metric(0.25, "nat", "lower", 3, examples=(0.25, 1 / 3))}

suite.Faking.fidelity = fidelity

@pytest.mark.cells(model=["fake-a", "fake-b"], scheme="bf16", runtime="fake")
def test_floor(cell, monkeypatch):
    with pytest.raises(BenchgateError, match="fidelity comes after cell.measure"):
        cell.fidelity(None)
    cell.measure(meters=("size",))
    result = cell.fidelity(None)
    assert (result["kl_mean"], result["size_bytes"]) == (0.25, 1004)
    assert tasks["faking"].compared.closed
    cell.decide(judge([1] * 50, [1] * 49 + [0], 0.8))
    cell.decide(judge([1] * 50, ([1] * 49 if cell.cell.model == "fake-a" else [0] * 49) + [0], 0.95))
""",
    )
    result = project.run("--benchmark-json=out.json")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["undecidable: fake-a-bf16-fake-cpu: top1 0.9800 >= 0.95 x 1.0000 undecidable at n=50 *needs about n=155: *"]
    )
    good, bad = (project.records("out.json")[f"test_floor[fake-{m}-bf16-fake-cpu]"] for m in "ab")
    assert [f["answer"] for f in good["details"]["floors"]] == ["holds", "undecidable"]
    assert [f["answer"] for f in bad["details"]["floors"]] == ["holds", "fails"]
    assert (good["outcome"], bad["outcome"]) == ("passed", "failed")
    assert "top1 0.0000 >= 0.95 x 1.0000 fails at n=50" in bad["reason"]
    assert good["metrics"]["kl_mean"]["examples"] == "0.25 0.333333"
    assert "examples" not in good["metrics"]["accuracy"]
    about = {"reference": "fake-a-fp32-fake-cpu", "data": None, "metrics": ["kl_mean"]}
    assert good["details"]["fidelity"] == about
    assert good["missing"]["bits_per_weight"] == "fake does not tell how many weights it holds"


@pytest.mark.parametrize("call", ["cell.reference(runtime='absent')", "cell.fidelity(None, runtime='absent')"])
def test_a_reference_that_cannot_run_here_is_a_skip(project, call):
    project.write("test_it.py", TWO_CELLS + f"    {call}\n")
    project.run("--benchmark-json=out.json").assert_outcomes(skipped=2)
    record = project.records("out.json")["test_speed[fake-a-bf16-fake-cpu]"]
    assert record["outcome"] == "skipped"
    assert "fake-a-fp32-absent-cpu, which fake-a-bf16-fake-cpu is held against, cannot run: surely" in record["reason"]


def test_a_task_without_fidelity_says_so(project):
    project.write("test_it.py", TWO_CELLS + "    cell.fidelity(None)\n")
    result = project.run("--benchmark-json=out.json")
    result.assert_outcomes(failed=2)
    assert "faking has no fidelity" in project.records("out.json")["test_speed[fake-a-fp32-fake-cpu]"]["reason"]


def test_what_the_memory_meter_cannot_be_sent(project):
    """A model with a lock in it cannot go to a process of its own: that is a reason, not an error."""
    project.write(
        "test_it.py",
        """
import threading

import pytest, suite

local = suite.FakeModel("local")
object.__setattr__(local, "lock", threading.Lock())
suite.benchgate.model(local)

@pytest.mark.cells(model="local", runtime="fake")
def test_memory(cell):
    result = cell.measure(meters=("memory",))
    with pytest.raises(KeyError, match="cannot be sent to a process of its own .*lock"):
        result["peak_rss_bytes"]
""",
    )
    project.run("--cell-model=local", process=True).assert_outcomes(passed=1)


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
    assert any("median" in line for line in tables)
    assert sum(line.startswith(tuple(names)) for line in tables) == 2
    assert max(map(len, tables)) <= 80, max(tables, key=len)
    assert "\x1b" not in plain.stdout.str()
    colour = project.run(*arguments, "--benchmark-compare=one.json", "--color=yes", SPIN=0.0004, **settings)
    summary = colour.stdout.str().partition(" benchgate ")[2]
    assert re.search(r"\x1b\[[0-9;]*33m *\+\d+", summary), "a suspicious time's delta is yellow"


MANY = '@pytest.mark.parametrize("context", [2048], ids=["long"])\n'
