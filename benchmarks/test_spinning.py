"""The table of docs/processes.md on spinning; with --full, on a machine that is otherwise idle.

Each row is a workload, each column a setting of --cell-spin (library, short, none): median ms a call beside 0, 1 and 2
busy processes. A good one costs at most 5 % alone and least beside neighbours. Settings of a row are minutes apart, so
the table tells what a neighbour does; what a setting costs alone is held side by side.
"""

import functools
import statistics
import time

import pytest
from busy import busy

from benchgate import registration
from benchgate.commands.calibrate import load_cell
from benchgate.core import Cell
from benchgate.executors.local import Local, Settings
from benchgate.gate.side_by_side.driver import side_by_side
from benchgate.gate.side_by_side.pairs import Plan, Side
from benchgate.machine import spinning
from benchgate.measuring import run as running
from benchgate.measuring.held import Held
from benchgate.measuring.resolved import resolve
from benchgate.measuring.timing import Loop, time_work

pytestmark = pytest.mark.full
MODEL, DETECTOR = "smollm2-135m", "yolov3-tiny"
# (cell, operation, its parameters)
WORKLOADS = (
    (Cell(MODEL, "fp32", "torch", "cpu"), "prefill", {"context": 128}),
    (Cell(MODEL, "fp32", "torch", "cpu"), "decode", {"context": 128}),
    (Cell(MODEL, "int4-weight-only", "torch", "cpu"), "decode", {"context": 128}),
    (Cell(MODEL, "fp32", "onnxruntime", "cpu"), "decode", {"context": 128}),
    (Cell(MODEL, "int8-dynamic", "onnxruntime", "cpu"), "decode", {"context": 128}),
    (Cell(MODEL, "gguf-q4_0", "ggml", "cpu"), "decode", {"context": 128}),
    (Cell(DETECTOR, "fp32", "onnxruntime", "cpu"), "inference", {}),
    (Cell(DETECTOR, "fp32", "litert", "cpu"), "inference", {}),
    (Cell(DETECTOR, "int8-static", "litert", "cpu"), "inference", {}),
)
NEIGHBOURS = (0, 1, 2)
SECONDS, THREADS = 3.0, 2


def seconds(held, of, operation, params):
    """Median seconds a call, in the worker."""
    subject = running.prepare(held.open(of, THREADS), operation, params, Loop(5, SECONDS))
    timing = time_work(subject.work, subject.rounds)
    return statistics.median(timing.samples.seconds)


def row(of, operation, params, setting):
    found = []
    local = Local(Settings(spin=setting))
    place = local.place(of, Held())
    try:
        place.call(seconds, of, operation, params)
        for number in NEIGHBOURS:
            with busy(number):
                time.sleep(0.5)
                found.append(1e3 * place.call(seconds, of, operation, params))
    finally:
        place.close()
        local.close()
    return " \\| ".join(f"{ms:.1f}" for ms in found)


each_workload = pytest.mark.parametrize(
    "workload", WORKLOADS, ids=lambda one: f"{one[0].model}-{one[0].scheme}-{one[0].runtime}-{one[1]}"
)


def resolved(cell):
    """The cell where its runtime is there; else the test is skipped with the reason."""
    # No mark of cells stands here, which would have them registered.
    registration.load_builtin()
    of = resolve(cell)
    if reason := of.missing():
        pytest.skip(reason)
    return of


@each_workload
def test_beside_busy_processes(workload, capsys):
    """Each setting alone, beside one and beside two busy processes; a row of the table."""
    cell, operation, params = workload
    of = resolved(cell)
    figures = [row(of, operation, params, setting) for setting in spinning.SETTINGS]
    with capsys.disabled():
        print(f"\n| {cell.model} {cell.scheme} {cell.runtime} {operation} | {' | '.join(figures)} |")
    assert len(figures) == len(spinning.SETTINGS)


@each_workload
def test_what_a_setting_costs_alone(workload, pytestconfig, capsys):
    """Each setting's change against the pools' own spinning, by pairs of workers in turn."""
    cell, operation, _ = workload
    of = resolved(cell)
    of.load(THREADS).session.close()  # builds what is not built yet
    load = functools.partial(load_cell, cell, operation, THREADS, pytestconfig.rootpath)
    sides = {
        name: Side(load, tuple(of.runtime.needs), spinning.environment(name), threads=THREADS)
        for name in spinning.SETTINGS
    }
    for name in ("short", "none"):
        verdict = side_by_side(sides["library"], sides[name], plan=Plan(pinning="free"))
        with capsys.disabled():
            print(f"\n| {cell.scheme} {cell.runtime} {operation} | {name} | {verdict} |")
        assert verdict.kind != "broken"
