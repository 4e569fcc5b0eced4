"""The gate in a run: regressions fail by name and stay failed, new and gone is said, bad baselines are errors."""

import json

import pytest

from tests.pytest_plugin.fake_project import SETTINGS, TWO_CELLS

CPU_TIME = "--benchmark-timer=time.process_time"
CELL = "test_it.py::test_speed[[]fake-a-fp32-fake-cpu]"
TIGHT = TWO_CELLS.replace('runtime="fake")', 'runtime="fake", tolerance={"latency_median_s": 0.12})')


def test_slower_is_failed_again_and_again_until_accepted(project):
    """30 % slower: failed by name; also on the next run, although the red run was saved; green when accepted."""
    project.write("test_it.py", TIGHT)
    project.write("pyproject.toml", SETTINGS + '[tool.benchgate.gate]\nstored_times = "fail"\n')
    run = ("--benchmark-autosave", "--benchmark-compare", "--benchmark-max-time=0.1", CPU_TIME)
    first = project.run(*run, SPIN=0.002)
    first.assert_outcomes(passed=2)
    first.stdout.fnmatch_lines(["gate: 2 new"])
    project.run(*run, SPIN=0.002).assert_outcomes(passed=2)
    for _ in range(2):
        slow = project.run(*run, SPIN=0.0026)
        slow.assert_outcomes(failed=2)
        assert slow.ret == pytest.ExitCode.TESTS_FAILED
        slow.stdout.fnmatch_lines([f"FAILED {CELL} - *latency_median_s regressed: 2* ms -> 2* ms, +* %, allowed 12 %*"])
    accepted = project.run(*run, "--gate-accept", SPIN=0.0026)
    accepted.assert_outcomes(passed=2)
    accepted.stdout.fnmatch_lines(["*test_speed*: latency_median_s regressed: *"])
    newest = max(project.path.glob(".benchmarks/*/*.json"))
    assert set(project.outcomes(str(newest)).values()) == {"accepted"}
    project.run(*run, SPIN=0.0026).assert_outcomes(passed=2)


def test_size_and_accuracy_and_what_vanished(project):
    project.write("test_it.py", loose(TWO_CELLS))
    project.run("--benchmark-json=base.json").assert_outcomes(passed=2)
    compare = "--benchmark-compare=base.json"
    fat = project.run(compare, BYTES=1100)
    fat.assert_outcomes(failed=2)
    fat.stdout.fnmatch_lines([f"FAILED {CELL} - *size_bytes regressed: 1 kB -> 1.1 kB, +10.0 %, allowed 1 %*"])
    worse = project.run(compare, "--benchmark-json=worse.json", ACCURACY=0.85)
    worse.assert_outcomes(failed=2)
    worse.stdout.fnmatch_lines([f"FAILED {CELL} - *accuracy regressed: 0.900 -> 0.850, -0.05, allowed 0.01 absolute"])
    assert "accuracy regressed" in project.records("worse.json")["test_speed[fake-a-fp32-fake-cpu]"]["reason"]
    gone = project.run(compare, EVENT="fake-a-fp32=size-gone")
    gone.assert_outcomes(passed=1, failed=1)
    gone.stdout.fnmatch_lines([f"FAILED {CELL} - *size_memory_bytes no longer measured: fake does not tell *"])
    # Another version of the model is new, not worse; the version is that of the model, not of the file.
    other = project.run(compare, VERSION="2", ACCURACY=0.5)
    other.assert_outcomes(passed=2)
    other.stdout.fnmatch_lines(["gate: 2 new", "  *test_speed?fake-a-fp32-fake-cpu?: new: model version '1' -> '2'"])


def loose(text):
    return text.replace(
        'runtime="fake")', 'runtime="fake", tolerance={"latency_median_s": 9, "throughput_per_s": 0.99})'
    )


def test_tolerances_of_project_and_cell(project):
    """The project's, narrowed by a glob; the baseline's own numbers are doctored, so that nothing hangs on a clock."""
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-json=base.json").assert_outcomes(passed=2)
    document = project.json("base.json")
    for bench in document["benchmarks"]:
        metrics = bench["extra_info"]["benchgate"]["metrics"]
        for name in ("latency_median_s", "throughput_per_s"):
            del metrics[name]
        metrics["size_bytes"]["value"] = 904  # now 1004: 11 % more
    project.write("base.json", json.dumps(document))
    compare = ("--benchmark-compare=base.json", "--cell-meters=size")
    project.run(*compare).assert_outcomes(failed=2)
    project.write("pyproject.toml", SETTINGS + "[tool.benchgate.gate]\nsize_bytes = 0.2\n")
    project.run(*compare).assert_outcomes(passed=2)
    glob = '[tool.benchgate.gate.cells]\n"*bf16*" = { size_bytes = 0.05 }\n'
    project.write("pyproject.toml", SETTINGS + "[tool.benchgate.gate]\nsize_bytes = 0.2\n" + glob)
    result = project.run(*compare)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *bf16* - *size_bytes regressed: 904 B -> 1 kB, +11.1 %, allowed 5 %*"])

    for entry, says in {
        "size_byte = 0.1": "*gate] in pyproject.toml: unknown metric 'size_byte'; did you mean 'size_bytes'*",
        "size_bytes = -0.1": "*pyproject.toml.size_bytes: a tolerance is a number >= 0 (0.1 = 10 %), got -0.1",
        "size_bytes = true": "*pyproject.toml.size_bytes: a tolerance is a number >= 0 (0.1 = 10 %), got True",
        'cells."*x*" = 3': '*pyproject.toml.cells."[*]x[*]": must be a table *, got 3',
    }.items():
        project.write("pyproject.toml", f"{SETTINGS}[tool.benchgate.gate]\n{entry}\n")
        result = project.run()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {says}"])


def test_another_machine_is_not_compared(project):
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-json=base.json").assert_outcomes(passed=2)
    document = project.json("base.json")
    for bench in document["benchmarks"]:
        ours = bench["extra_info"]["benchgate"]
        ours["machine"]["cpu"] = "Another CPU"
        ours["metrics"]["latency_median_s"]["value"] = 1e-9
    project.write("base.json", json.dumps(document))
    result = project.run("--benchmark-compare=base.json")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["  not compared: * metrics: other machine: cpu Another CPU -> *"])
    project.run("--benchmark-compare=base.json", ACCURACY=0.5).assert_outcomes(failed=2)


def test_new_and_gone(project):
    """A renamed test or model is said; what was not asked for is not; --gate-strict fails what is said."""
    project.write("test_it.py", loose(TWO_CELLS))
    project.write("test_other.py", loose(TWO_CELLS) + loose(TWO_CELLS).replace("test_speed", "test_speed2"))
    project.run("--benchmark-json=base.json").assert_outcomes(passed=6)
    compare = "--benchmark-compare=base.json"

    for arguments, passed in {
        ("-k", "fp32"): 3,
        ("test_other.py",): 4,
        ("test_other.py::test_speed",): 2,
        ("test_it.py::test_speed[fake-a-fp32-fake-cpu]",): 1,
        (str(project.path / "test_it.py") + "::test_speed",): 2,
        (str(project.path),): 6,
        ("--deselect", "test_it.py::test_speed"): 4,
    }.items():
        result = project.run(compare, "--gate-strict", *arguments)
        result.assert_outcomes(passed=passed, deselected=result.parseoutcomes().get("deselected", 0))
        assert result.ret == 0
        result.stdout.no_fnmatch_line("*: gone*")
        result.stdout.no_fnmatch_line("*: new*")
    outside = project.write("../elsewhere/test_far.py", "def test_far(): ...")
    result = project.run(compare, "--rootdir", str(project.path), f"{outside}::test_far")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*: gone*")

    project.write("test_it.py", loose(TWO_CELLS).replace("test_speed", "test_speed_renamed"))
    renamed = project.run(compare, "test_it.py")
    renamed.assert_outcomes(passed=2)
    lines = [
        "*::test_speed_renamed?fake-a-fp32-fake-cpu?: new: no passed baseline*",
        "*::test_speed?fake-a-fp32*: gone",
    ]
    renamed.stdout.fnmatch_lines(["gate: 2 new, 2 gone", *lines])
    project.run(compare, "test_it.py", "--gate-strict").assert_outcomes(failed=2)

    project.write("test_it.py", loose(TWO_CELLS))
    model = project.run(compare, "--cell-model=fake-b")
    model.assert_outcomes(passed=6)
    model.stdout.fnmatch_lines(["*fake-b-fp32*: new: *"])
    # Nobody asked for it.
    model.stdout.no_fnmatch_line("*: gone*")

    project.write("test_it.py", loose(TWO_CELLS).replace('["fp32", "bf16"]', '"fp32"'))
    result = project.run(compare, "test_it.py")
    assert result.ret == 0
    strict = project.run(compare, "test_it.py", "--gate-strict")
    strict.assert_outcomes(passed=1)
    assert strict.ret == pytest.ExitCode.TESTS_FAILED
    strict.stdout.fnmatch_lines(["  test_it.py::test_speed?fake-a-bf16-fake-cpu?: gone"])

    project.write(
        "test_it.py", loose(TWO_CELLS).replace("import pytest", "import pytest\npytestmark = pytest.mark.skip")
    )
    strict = project.run(compare, "test_it.py", "--gate-strict")
    assert strict.ret == pytest.ExitCode.TESTS_FAILED
    strict.stdout.fnmatch_lines(
        ["  test_it.py::test_speed?fake-a-bf16-fake-cpu?: gone: skipped now: unconditional skip"]
    )


def test_a_first_run_has_nothing_to_compare_with(project):
    project.write("test_it.py", TWO_CELLS)
    result = project.run("--benchmark-compare")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["gate: 2 new"])
    project.run("--benchmark-compare", "--gate-strict").assert_outcomes(failed=2)


FOREIGN = {"machine_info": {}, "benchmarks": [{"fullname": "a", "stats": {"ops": 1}, "extra_info": {}}]}
NEWER = {"fullname": "a", "stats": {"ops": 1}, "extra_info": {"benchgate": {"schema": 99}}}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("no.json", None, "baseline 'no.json' does not exist; make it with `pytest ... --benchmark-json=no.json`"),
        ("a/b/c/no.json", None, "baseline 'a/b/c/no.json' does not exist; make it with `pytest *"),
        ("0007", None, "baseline '0007' does not exist; make it with `pytest ... --benchmark-autosave`"),
        ("b.json", '{"benchmarks": [', "b.json: not valid JSON (*); make it again with `pytest *"),
        ("b.json", "[1]", "b.json: not a pytest-benchmark document (no list 'benchmarks')*"),
        ("b.json", '{"benchmarks": []}', "b.json: not a pytest-benchmark document (no 'machine_info')*"),
        ("b.json", '{"machine_info": {}, "benchmarks": [{}]}', "b.json: benchmark 0 has no 'fullname' and 'stats'*"),
        ("b.json", json.dumps(FOREIGN), "b.json: no benchgate record in it; compare with a file that `pytest *"),
        ("b.json", json.dumps({**FOREIGN, "benchmarks": [NEWER]}), "*schema 99 is newer *; pip install --upgrade *"),
    ],
)
def test_a_baseline_that_is_no_good(project, name, content, says):
    """A usage error that names the file and the next command; never a pass, never a traceback."""
    project.write("test_it.py", TWO_CELLS)
    if content is not None:
        project.write(name, content)
    result = project.run(f"--benchmark-compare={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {says}"])
    assert name in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_broken_file_among_the_saved_ones(project):
    project.write("test_it.py", TWO_CELLS)
    project.run("--benchmark-autosave").assert_outcomes(passed=2)
    [saved] = project.path.glob(".benchmarks/*/0001_*.json")
    saved.write_text(saved.read_text()[:1000])
    result = project.run("--benchmark-compare")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {saved}: not valid JSON *"])
