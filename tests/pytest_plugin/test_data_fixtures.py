"""The data of suites with cells, in an empty folder: nothing of this repository's conftest is there."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from pathlib import Path

import pytest
import scipy.stats  # noqa: F401  numpy cannot be imported anew in each inner run: here it stays loaded

from benchgate.core import support
from benchgate.pytest_plugin.data_options import data_fixtures, data_options
from benchgate.storage.digests import file_digest
from benchgate.tasks.causal_lm import passages
from tests.builders import tiny_language_model

README = Path(__file__).parents[2] / "README.md"
INLINE = ("-p", "no:cacheprovider", "--cell-executor=inline", "--cell-patience=0", "--benchmark-max-time=0.02")
FAST = ("--cell-meters=size", "--benchmark-json=out.json")

EXAMPLE = """
import pytest

@pytest.mark.cells(model="tiny", runtime="torch")
def test_it(cell, passages):
    result = cell.measure(data=passages)
    assert result["top5"] >= 0.5 * cell.reference("fp32", data=passages)["top5"]
"""
# Nothing is built or measured before the data are looked at.
UNMEASURED = EXAMPLE.replace('"tiny"', '"no-such/model"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved model. Made before any inner run: torch cannot be imported twice."""
    return tiny_language_model(tmp_path_factory.mktemp("model") / "tiny", context=160)


@pytest.fixture
def suite(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return pytester


def record(suite):
    (found,) = json.loads((suite.path / "out.json").read_text(encoding="utf-8"))["benchmarks"]
    return found["extra_info"]["benchgate"]


# One's own model, and the data that come with the package


@pytest.mark.backend("torch")
def test_the_readmes_example_scores_a_folder_of_ones_own_on_the_packaged_set(folder, suite):
    (block,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
        if "(cell, passages)" in block
    ]
    assert len(block.splitlines()) <= 6
    shutil.copytree(folder, suite.path / "tiny")
    suite.makepyfile(test_it="import pytest\n\n" + re.sub('model="[^"]*"', 'model="tiny"', block))
    strict = ("-W", "error::pytest.PytestDeprecationWarning")
    suite.runpytest_inprocess(*INLINE, *FAST, *strict, "-k", "fp32").assert_outcomes(passed=1, deselected=1)
    found = record(suite)
    assert {"latency_median_s", "decode_tokens_per_s", "size_bytes", "top1", "perplexity"} <= set(found["metrics"])
    whole = passages.load("cloze")
    data = {"dataset": "cloze", "sha256": whole.sha256, "n": 100, "of": len(whole), "seed": 0, "batch": 8}
    assert found["details"]["data"] == data
    assert found["metrics"]["top5"]["n"] == 100


@pytest.mark.backend("torch")
def test_and_on_passages_of_ones_own(folder, suite):
    shutil.copytree(folder, suite.path / "tiny")
    suite.makepyfile(test_it=EXAMPLE)
    lines = [{"context": "the quiet crew and", "continuation": "the"}, {"text": "The crew and the west"}] * 4
    path = suite.path / "mine.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    result = suite.runpytest_inprocess(*INLINE, *FAST, "--cell-passages=mine.jsonl", "--cell-samples=6")
    result.assert_outcomes(passed=1)
    data = record(suite)["details"]["data"]
    assert (data["dataset"], data["n"], data["of"]) == ("mine", 6, 8)
    assert data["sha256"] == file_digest(path)


@pytest.mark.backend("torch")
def test_without_data_the_summary_says_what_to_give(folder, suite):
    shutil.copytree(folder, suite.path / "tiny")
    suite.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.cells(model="tiny", runtime="torch")
        def test_it(cell):
            with pytest.raises(KeyError, match="no passages: .* --cell-passages=FILE"):
                cell.measure()["top1"]
        """
    )
    result = suite.runpytest_inprocess(*INLINE, *FAST, "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["missing: top1 (1), perplexity (1): no passages: *cell.measure(data=passages)*"])


# Files that are none


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "mine.jsonl: cannot be read (No such file or directory); give 'cloze', 'lambada-openai', or a JSONL*"),
        ("", "mine.jsonl: no passages in it; a score of nothing would mean nothing"),
        ('{"text": "a b"}\nnonsense\n', "mine.jsonl, line 2: not JSON (*); each line must be *"),
        ('{"text": "a b"}\n{"context": "a"}\n', "mine.jsonl, line 2: context and continuation must be texts *"),
    ],
)
def test_a_bad_file_is_one_line(suite, content, said):
    suite.makepyfile(test_it=UNMEASURED)
    if content is not None:
        (suite.path / "mine.jsonl").write_text(content, encoding="utf-8")
    result = suite.runpytest_inprocess(*INLINE, "--cell-passages=mine.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_items_is_one(suite, value):
    result = suite.runpytest_inprocess(*INLINE, f"--cell-samples={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--cell-samples: '{value}' is no number of items; write for example 100"])


def test_nothing_is_read_where_only_the_tests_are_listed(suite):
    suite.makepyfile(test_it=UNMEASURED)
    result = suite.runpytest_inprocess(*INLINE, "--cell-passages=none.jsonl", "--collect-only", "-q")
    assert result.ret == 0


def test_detectors_without_a_coco_folder_are_skipped_with_the_option(suite, monkeypatch):
    monkeypatch.delenv("BENCHGATE_COCO", raising=False)
    suite.makepyfile(test_it=UNMEASURED.replace("passages", "coco"))
    suite.mkdir("empty")
    result = suite.runpytest_inprocess(*INLINE, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no COCO folder to score detectors on; give one with --cell-coco=DIR*"])
    result = suite.runpytest_inprocess(*INLINE, "--cell-coco=empty")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: COCO folder empty: no image folder in it*"])


# Somebody's own names

OWN = """
import pytest

@pytest.fixture
def passages():
    return "mine"
"""
TAKES = """
import pytest

@pytest.mark.cells(model="no-such/model", measure=False, runtime="torch")
@pytest.mark.skip(reason="only its fixtures are looked at")
def test_it(cell): ...

def test_own(passages):
    assert passages == "mine"
"""


@pytest.mark.parametrize("place", ["conftest", "plugin", "test"])
def test_a_fixture_of_ones_own_wins(suite, place):
    files = {
        "conftest": {"conftest": OWN, "test_it": TAKES},
        "plugin": {"conftest": 'pytest_plugins = ["mine"]', "mine": OWN, "test_it": TAKES},
        "test": {"test_it": TAKES + OWN.replace("import pytest", "")},
    }[place]
    suite.makepyfile(**files)
    # Its own fixture does not read the option.
    result = suite.runpytest_inprocess(*INLINE, "--cell-passages=none.jsonl")
    result.assert_outcomes(passed=1, skipped=1)


def test_a_suite_without_cells_has_no_such_fixture(suite):
    suite.makepyfile(test_it="def test_it(passages): ...")
    result = suite.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'passages' not found*"])
    result.stdout.no_fnmatch_line("*available fixtures:* passages*")


def test_a_fixture_that_is_not_there_is_told_by_its_name(suite):
    suite.mkdir("tiny")
    suite.makepyfile(test_it=EXAMPLE.replace("cell, passages", "cell, sentences"))
    result = suite.runpytest_inprocess(*INLINE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["error: 1 cell: fixture 'sentences' not found; pytest --fixtures lists what there is"])


# What the tasks' folders state


@pytest.mark.parametrize("fixture", data_fixtures(), ids=lambda each: each.name)
def test_each_stated_target_takes_the_stated_options(fixture):
    function = support.imported(fixture.load)
    assert {"samples", *fixture.options} == set(inspect.signature(function).parameters)
    assert fixture.about


def test_the_options():
    assert {flag for flag, _ in data_options()} >= {"--cell-passages", "--cell-samples"}
