"""From marks to collected tests: ids, what is left out, names and marks that are wrong, what is missing here."""

from pathlib import Path

import pytest

from tests.pytest_plugin.fake_project import CONFTEST, TWO_CELLS


def test_the_product_less_refusals(project):
    """Ids, the header's count, defaults, two marks that add up, other params, and what of it is in the JSON."""
    project.write(
        "test_it.py",
        """
import pytest

@pytest.mark.cells(model=["fake-a", "fake-b"], scheme=["fp32", "int8-static", "gone-int4"], runtime="fake")
@pytest.mark.parametrize("batch", [1, 4])
def test_product(cell, batch):
    assert cell.measure(batch=batch, meters=("size",))["accuracy"] == pytest.approx(0.9)

@pytest.mark.cells(model="fake-a", runtime="fake")
@pytest.mark.cells(model="fake-a", scheme=["fp32", "bf16"], runtime="fake")
@pytest.mark.parametrize("thing", [object()], ids=["thing"])
def test_sum(cell, thing):
    cell.measure(meters=())
""".replace("gone-int4", "int4-weight-only"),
    )
    result = project.run("--benchmark-json=out.json", "-v")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "benchgate: 4 combinations left out:",
            "  2 x fake has no int8-static compression",
            "  2 x fake has no int4-weight-only compression",
        ]
    )
    records = project.records("out.json")
    assert set(records) == {
        *(f"test_product[{model}-fp32-fake-cpu-{batch}]" for model in ("fake-a", "fake-b") for batch in (1, 4)),
        "test_sum[fake-a-fp32-fake-cpu-thing]",
        "test_sum[fake-a-bf16-fake-cpu-thing]",
    }
    document = project.json("out.json")
    [bench] = [b for b in document["benchmarks"] if b["name"] == "test_product[fake-b-fp32-fake-cpu-4]"]
    assert bench["params"] == {"model": "fake-b", "scheme": "fp32", "runtime": "fake", "device": "cpu", "batch": 4}
    ours = bench["extra_info"]["benchgate"]
    assert ours["params"] == {"batch": 4}
    assert ours["cell"] == {"model": "fake-b", "scheme": "fp32", "runtime": "fake", "device": "cpu"}
    assert [e["cell"] for e in document["benchgate"]["left_out"]].count("fake-b-int8-static-fake-cpu") == 1
    # A parameter that JSON cannot hold stays readable and breaks neither journal nor file.
    assert "object object" in records["test_sum[fake-a-fp32-fake-cpu-thing]"]["params"]["thing"]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--cell-model=fake-x", "unknown model 'fake-x'; did you mean 'fake-*known: *fake-a, fake-b, fake-c*"),
        ("--cell-scheme=int8-dinamic", "unknown scheme 'int8-dinamic'; did you mean 'int8-dynamic'*known: bf16, *"),
        ("--cell-runtime=fakr", "unknown runtime 'fakr'; did you mean 'fake'? known: absent, *fake, *"),
        ("--cell-device=cpuu", "unknown device 'cpuu'; did you mean 'cpu'*known: cpu, cuda, *"),
        ("--cell-meters=latency,memori", "unknown meter 'memori'; did you mean 'memory'*known: energy, *"),
        ("--cell-need=faek", "unknown --cell-need 'faek'; did you mean 'fake'*known: *"),
    ],
)
def test_unknown_names_on_the_command_line(project, option, says):
    project.write("test_it.py", TWO_CELLS)
    result = project.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {says}"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_wrong_marks_are_told_together(project):
    project.write(
        "test_it.py",
        """
import pytest
cells = pytest.mark.cells

@cells(model="fake-z", runtime="fake")
def test_model(cell): ...

@cells(model="fake-a", scheme="fp33", runtime="fake")
def test_scheme(cell): ...

@cells(model="fake-a", runtime="fakee")
def test_runtime(cell): ...

@cells(model="fake-a", runtime="fake", device="cdua")
def test_device(cell): ...

@cells("fake-a")
def test_positional(cell): ...

@cells(model="fake-a", runtime="fake", batch=4)
def test_argument(cell): ...

@cells(model="fake-a")
def test_no_runtime(cell): ...

@cells(model="fake-a", runtime="fake", tolerance={"latency": 0.1})
def test_tolerance_name(cell): ...

@cells(model="fake-a", runtime="fake", tolerance={"latency_median_s": -1})
def test_tolerance_value(cell): ...

def test_no_mark(cell): ...
""",
    )
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: test_it.py::test_model: unknown model 'fake-z'; did you mean *",
            "*::test_scheme: unknown scheme 'fp33'; did you mean 'fp32'*",
            "*::test_runtime: unknown runtime 'fakee'; did you mean 'fake'*",
            "*::test_device: unknown device 'cdua'; did you mean 'cuda'*",
            "*::test_positional: cells takes keyword arguments only, got ('fake-a',); write @pytest.mark.cells(*",
            "*::test_argument: cells has no argument 'batch'; allowed: model, *",
            "*::test_no_runtime: cells needs runtime= a name or a list of names, got None; write *",
            "*::test_tolerance_name: cells(tolerance=...): unknown metric 'latency'; did you mean *",
            "*::test_tolerance_value: cells(tolerance=...).latency_median_s: a tolerance is a number >= 0 *, got -1",
            "*::test_no_mark: the cell fixture needs a cells mark",
        ]
    )
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_what_is_missing_is_skipped_or_needed(project):
    """A skip with reason and hint, in the JSON too; a failure where --cell-need names what it lacks."""
    project.write(
        "test_it.py",
        """
import pytest

@pytest.mark.cells(model="fake-a", runtime=["fake", "absent"], device=["cpu", "fpga"])
def test_speed(cell):
    cell.measure(meters=())

@pytest.mark.skip(reason="not today")
@pytest.mark.cells(model="fake-a", runtime="fake")
def test_marked(cell): ...
""",
    )
    hint = "surely_absent is not installed; pip install 'benchgate[[]absent-extra]'"
    result = project.run("-rs", "-v", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1, skipped=4)
    result.stdout.fnmatch_lines_random([f"SKIPPED *: {hint}", "SKIPPED *: no FPGA card in this machine"])
    result.stdout.fnmatch_lines([f"skipped: 2 cells: {hint}"])
    untimed = {u["key"].partition("::")[2]: u for u in project.json("out.json")["benchgate"]["untimed"]}
    assert {u["outcome"] for u in untimed.values()} == {"skipped"}
    assert untimed["test_speed[fake-a-fp32-fake-fpga]"]["reason"] == "no FPGA card in this machine"
    assert untimed["test_speed[fake-a-fp32-absent-cpu]"]["reason"] == hint.replace("[[]", "[")
    assert untimed["test_marked[fake-a-fp32-fake-cpu]"]["reason"] == "not today"

    for need, failed in {"absent": 2, "surely_absent": 2, "absent-extra": 2, "fpga": 2, "fake": 1}.items():
        result = project.run("--cell-need", need)
        result.assert_outcomes(passed=1, errors=failed, skipped=4 - failed)
        result.stdout.fnmatch_lines(["*is needed (--cell-need) and cannot run: *"])


def test_the_backend_mark_of_these_tests(project):
    """tests/conftest.py: a backend's tests are skipped with the hint where it is missing, failed under --cell-need."""
    project.write("hooks.py", (Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8"))
    project.write("conftest.py", CONFTEST.replace('"suite"', '"suite", "hooks"'))
    text = "import pytest\n\n@pytest.mark.backend('NAME')\ndef test_NAME(): ...\n"
    project.write("test_it.py", text.replace("NAME", "fake") + text.replace("NAME", "absent"))
    marker = ("-o", "markers=backend(name)")
    project.run(*marker, "--cell-need=fake").assert_outcomes(passed=1, skipped=1)
    result = project.run(*marker, "--cell-need=absent-extra")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["absent is needed (--cell-need) and cannot run: surely_absent is not installed; pip *"]
    )


def test_nothing_ran_and_the_file_is_written(project):
    """All cells skipped, or pytest-benchmark switched off: their records are in the file all the same."""
    project.write("test_it.py", TWO_CELLS.replace('"fake")', '"absent")'))
    project.run("--benchmark-json=out.json").assert_outcomes(skipped=2)
    assert set(project.outcomes("out.json").values()) == {"skipped"}


def test_the_command_line_replaces_axes(project):
    project.write("test_it.py", TWO_CELLS)
    result = project.run("--cell-model=fake-c", "--cell-scheme=fp32", "--cell-scheme=int8-static", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*benchgate: 1 combination left out:*", "*test_speed?fake-c-fp32-fake-cpu? PASSED*"])


def test_what_turns_out_to_be_missing_is_a_skip_too(project, monkeypatch):
    """Unavailable raised while measuring: a skip with its reason, under --cell-need a failure, never a pass."""
    project.write(
        "test_it.py",
        """
import pytest

@pytest.mark.cells(model=["fake-a", "fake-b"], runtime="fake")
def test_speed(cell):
    cell.measure(meters=("size",))
""",
    )
    monkeypatch.setenv("FAKE_EVENT", "fake-a-fp32=unavailable")
    result = project.run("-rs", "--benchmark-json=out.json")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["skipped: 1 cell: this CPU has no such kernel"])
    assert [u["outcome"] for u in project.json("out.json")["benchgate"]["untimed"]] == ["skipped"]
    project.run("--cell-need", "fake").assert_outcomes(passed=1, failed=1)
