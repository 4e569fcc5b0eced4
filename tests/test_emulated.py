"""Cells that this CPU emulates are no part of the default run."""

from __future__ import annotations

import pytest

from benchgate.core import Cell
from fixtures import native
from tests.pytest_plugin.fake_project import Project

AVX2, AVX512 = frozenset({"avx2"}), frozenset({"avx2", "avx512_vnni", "avx512_bf16"})
SUITE = """
import pytest

@pytest.mark.compute_bound
@pytest.mark.cells(model="fake-a", scheme=["fp32", "bf16"], runtime="fake")
def test_products(cell):
    cell.measure(meters=())

@pytest.mark.cells(model="fake-a", scheme="bf16", runtime="fake")
def test_bandwidth(cell):
    cell.measure(meters=())
"""


@pytest.mark.parametrize("scheme", ["bf16", "int8-dynamic", "int8-weight-only"])
def test_what_an_older_cpu_emulates(scheme):
    cell = Cell("any", scheme, "torch", "cpu")
    assert f"emulates {scheme}, slowly; --full measures it" in (native.emulated(cell, AVX2) or "")
    assert native.emulated(cell, AVX512) is None
    assert native.emulated(cell, frozenset()) is None


@pytest.mark.parametrize(
    "cell",
    [
        Cell("any", "fp32", "torch", "cpu"),
        Cell("any", "int4-weight-only", "torch", "cpu"),
        Cell("any", "int8-dynamic", "onnxruntime", "cpu"),
        Cell("any", "bf16", "torch", "cuda"),
    ],
)
def test_what_no_cpu_emulates(cell):
    assert native.emulated(cell, AVX2) is None


@pytest.mark.parametrize(
    ("flags", "options", "passed", "skipped"), [(AVX2, (), 2, 1), (AVX2, ("--full",), 3, 0), (AVX512, (), 3, 0)]
)
def test_only_marked_tests_are_skipped_and_only_without_full(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, flags, options, passed, skipped
):
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setattr(native, "instructions", lambda: flags)
    monkeypatch.setattr(native, "NEEDED", {("fake", "bf16"): native.BF16})
    project = Project(pytester, monkeypatch)
    project.write("test_it.py", SUITE)
    result = project.run("-p", "fixtures.training", "-p", "fixtures.native", "-rs", *options)
    result.assert_outcomes(passed=passed, skipped=skipped)
    if skipped:
        result.stdout.fnmatch_lines(["SKIPPED*this CPU has none of avx512_bf16, amx_bf16, bf16 and emulates bf16*"])
