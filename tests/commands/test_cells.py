"""Cells as they are typed: names with dashes, options, mistakes."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from benchgate import core
from benchgate.commands.cells import check_cell, parse_cell
from benchgate.core import BenchgateError, Cell, Scheme, Unavailable, UnknownName, models, support
from benchgate.schemes import composed
from benchgate.transforms.prune import Prune

RUNTIMES = ("torch", "torch-compile", "onnxruntime")


def senseless(model, scheme, runtime):
    return "int8 makes no sense" if scheme.name == "int8" else None


@pytest.fixture(autouse=True)
def _registered():
    """Names that are parts of each other."""

    def model(name, task="text2text"):
        return SimpleNamespace(name=name, version="1", task=task)

    def runtime(name):
        return SimpleNamespace(
            name=name,
            needs={},
            missing=lambda device: "no engine" if name == "onnxruntime" else None,
        )

    fill = {
        core.models: [model("rewrite"), model("rewrite-t5"), model("rewrite-t5-int8"), model("other", "spam")],
        core.schemes: [Scheme(name, 8, name) for name in ("fp32", "int8", "int8-dynamic", "dynamic")],
        core.runtimes: [runtime(name) for name in RUNTIMES],
    }  # fmt: skip
    rows = [
        support.SessionRow(name, task, "no:matter", builder="", refuses="tests.commands.test_cells:senseless")
        for name in RUNTIMES
        for task in ("text2text", "spam")
    ]
    with ExitStack() as there:
        for registry, items in fill.items():
            there.enter_context(registry.replaced(*items))
        there.enter_context(support.sessions.extended(*rows))
        there.enter_context(
            support.compressors.extended(*(support.CompressorRow(name, support.ANY) for name in RUNTIMES))
        )
        yield


def test_a_model_alone_is_its_fp32_cell_on_torch():
    assert parse_cell("rewrite-t5") == Cell("rewrite-t5", "fp32", "torch", "cpu")


@pytest.mark.parametrize("scheme", ["prune-50", "prune-50+int8-dynamic"])
def test_an_id_with_steps_is_read_back(scheme):
    # Not by monkeypatch, which is undone after `replaced` and would put the stand-in's resolve back for good.
    core.schemes.resolve = composed
    with core.transforms.replaced(Prune()):
        cell = Cell("rewrite-t5", scheme, "torch", "cpu")
        assert parse_cell(str(cell)) == cell
        with pytest.raises(BenchgateError, match="prune-500: a percentage between 0 and 100"):
            parse_cell("rewrite-t5-prune-500-torch-cpu")


def test_options_choose():
    assert parse_cell("rewrite-t5", "int8-dynamic", "torch-compile", "cpu") == Cell(
        "rewrite-t5", "int8-dynamic", "torch-compile", "cpu"
    )


@pytest.mark.parametrize("model", ["rewrite", "rewrite-t5"])
@pytest.mark.parametrize("scheme", ["fp32", "int8", "int8-dynamic"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_id_is_read_back(model, scheme, runtime):
    cell = Cell(model, scheme, runtime, "cpu")
    if str(cell).startswith("rewrite-t5-int8-dynamic"):
        return
    assert parse_cell(str(cell)) == cell


def test_an_id_that_means_two_cells_is_no_guess():
    with pytest.raises(BenchgateError, match="means 2 cells") as refused:
        parse_cell("rewrite-t5-int8-dynamic-torch-cpu")
    assert "rewrite-t5 --scheme int8-dynamic --runtime torch --device cpu" in str(refused.value)
    assert "rewrite-t5-int8 --scheme dynamic --runtime torch --device cpu" in str(refused.value)


def test_an_option_that_says_the_same_as_the_id_is_no_contradiction():
    assert parse_cell("rewrite-fp32-torch-cpu", runtime="torch").runtime == "torch"


def test_an_option_that_contradicts_the_id():
    with pytest.raises(BenchgateError, match="contradicts --runtime torch-compile; write rewrite --scheme fp32"):
        parse_cell("rewrite-fp32-torch-cpu", runtime="torch-compile")


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("rewrite-t6", "'rewrite-t5'"),
        ("rewrite-t5-fp32-onxruntime-cpu", "'rewrite-t5-fp32-onnxruntime-cpu'"),
        ("rewrite-t5-fp32-torch-gpu", "'rewrite-t5-fp32-torch-cpu'"),
    ],
)
def test_a_mistyped_name_has_near_matches(typed, near):
    with pytest.raises(UnknownName, match=f"unknown cell '{typed}'; did you mean .*{near}"):
        parse_cell(typed)


@pytest.mark.parametrize("typed", ["", "-", "torch-cpu", "-fp32-torch-cpu", "nothing like it"])
def test_what_is_no_cell(typed):
    with pytest.raises(UnknownName, match=r"write MODEL --scheme S .* known models: other, rewrite"):
        parse_cell(typed)


def test_a_project_without_models_is_told_so():
    with models.replaced(), pytest.raises(UnknownName, match=r"known models: none; schemes: "):
        parse_cell("mine")


@pytest.mark.parametrize(("option", "kind"), [("scheme", "scheme"), ("runtime", "runtime"), ("device", "device")])
def test_an_option_that_nobody_registered(option, kind):
    with pytest.raises(UnknownName, match=f"unknown {kind} 'none'"):
        parse_cell("rewrite", **{option: "none"})


def test_a_model_that_is_resolved_by_its_name():
    found = SimpleNamespace(name="org/model", task="text2text")
    # Not by monkeypatch; see above.
    core.models.resolve = lambda name: found if name == "org/model" else None
    assert parse_cell("org/model") == Cell("org/model", "fp32", "torch", "cpu")


def test_a_cell_must_fit_and_be_able_to_run():
    check_cell(Cell("rewrite", "fp32", "torch", "cpu"), "text2text")
    with pytest.raises(UnknownName, match="'other' is a model of task 'spam'; one of 'text2text' is needed: rewrite, "):
        check_cell(Cell("other", "fp32", "torch", "cpu"), "text2text")
    with pytest.raises(Unavailable, match="rewrite-int8-torch-cpu: int8 makes no sense"):
        check_cell(Cell("rewrite", "int8", "torch", "cpu"), "text2text")
    with pytest.raises(Unavailable, match="no engine"):
        check_cell(Cell("rewrite", "fp32", "onnxruntime", "cpu"), "text2text")
