"""Calibrating on fake workers, and what is kept of it: refused where it is broken or another machine's."""

from __future__ import annotations

import functools
import json
import math
import random
from dataclasses import replace

import pytest

from benchgate.core import DataError
from benchgate.gate.side_by_side import calibrate as engine
from benchgate.gate.side_by_side.calibrate import Effort, calibrate, meaningless, smallest_found, summary
from benchgate.gate.side_by_side.calibrated import file_of, keep, noise_for, read
from benchgate.gate.side_by_side.pairs import SideBroke
from benchgate.gate.side_by_side.rule import ASSUMED, RULE, Noise
from benchgate.gate.side_by_side.simulation import Resampled
from benchgate.machine.workers import WorkerDied
from tests.gate.side_by_side.fakes import FakeCrew, Script, World, side

MACHINE = {"cpu": "Quiet CPU 9000", "cores": 4}
EFFORT = Effort(zygotes=10, pairs=4, trials=2, seed=5)


def crews(sd, fails=lambda worker, block: None):
    """Crews whose workers have levels that scatter by `sd`; an injected slowdown is added as it was asked for."""
    world, made = World(), []

    def crew(of, seed):
        made.append(of)
        share = of.load.args[1] if isinstance(of.load, functools.partial) else 0.0
        number = len(made)

        def call_s(worker, block):
            return 0.01 * (1 + share) * math.exp(sd * random.Random(f"{number} {worker}").gauss(0, 1))

        return FakeCrew(world, "x", Script(call_s, fails=fails))

    return crew


def calibrated(sd=0.006, name="work"):
    return calibrate(name, side("x"), effort=EFFORT, crew=crews(sd))


def test_a_calibration_has_the_spread_and_what_is_found_with_it():
    told = []
    found = calibrate("work", side("x"), effort=EFFORT, crew=crews(0.006), said=told.append)
    # Of a pair's ratio: two workers.
    assert found.pair.sd == pytest.approx(0.006 * math.sqrt(2), rel=0.4)
    assert found.pair.low < found.pair.sd < found.pair.high
    assert found.noise.source == "calibrated on work"
    assert found.smallest in engine.GRID
    assert found.block.sd < 0.001
    assert found.alarms <= 0.01
    trials = {(one.how, one.share): one for one in found.found}
    assert len(trials) == 9
    assert trials["", 0.0].regressed == 0
    for how in ("spin", "sleep"):
        assert trials[how, 0.10].regressed == 2
        assert trials[how, 0.10].change == pytest.approx(0.10, abs=0.03)
    assert len(told) == 10
    assert found.pairs >= 3


def test_its_rates_are_of_whole_zygotes(monkeypatch):
    drawn = []
    real = engine.simulate
    monkeypatch.setattr(engine, "simulate", lambda draw, *args: drawn.append(draw) or real(draw, *args))
    calibrate("work", side("x"), effort=replace(EFFORT, trials=0), crew=crews(0.006))
    assert [len(group) for group in drawn[0].groups] == [EFFORT.pairs] * EFFORT.zygotes


def test_without_live_trials_none_is_made():
    found = calibrate("work", side("x"), effort=replace(EFFORT, trials=0), crew=crews(0.006))
    assert found.found == ()


def test_a_side_that_breaks_is_said():
    with pytest.raises(SideBroke, match="while it loaded"):
        calibrate("work", side("x"), effort=EFFORT, crew=crews(0.0, lambda worker, block: WorkerDied("died")))


def test_a_noise_that_makes_the_tolerance_meaningless_is_called_so():
    quiet, loud = calibrated(), calibrated(0.10)
    assert meaningless(quiet, RULE) == ""
    assert "its tolerance of 1% is meaningless here" in meaningless(loud, RULE)
    assert meaningless(replace(quiet, smallest=0.10), RULE)
    assert not meaningless(replace(quiet, smallest=0.09), RULE)
    assert "not even 50 %" in meaningless(replace(quiet, smallest=None), RULE)


def test_the_smallest_slowdown_found_grows_with_the_spread():
    rng = random.Random(1)
    shifts = [rng.gauss(0, 1) for _ in range(60)]
    found = [
        smallest_found(Resampled(tuple(sd * x for x in shifts), True), RULE, Noise(sd, 0.0)) for sd in (0.006, 0.03)
    ]
    assert found[0] < 0.04 <= found[1]
    assert smallest_found(Resampled((3.0, -3.0)), RULE, Noise(1.0, 0.0)) is None


def test_each_calibration_is_a_row():
    rows = summary([calibrated()])
    assert len(rows[0]) == len(engine.COLUMNS)
    assert rows[0][0] == "work"


def test_what_is_kept_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path))
    first, second = calibrated(), calibrated(0.02, "other")
    keep(first, MACHINE)
    path = keep(second, MACHINE)
    assert read(path, MACHINE) == {"work": first, "other": second}
    keep(replace(first, load=9.0), MACHINE)
    assert read(path, MACHINE)["work"].load == 9.0
    assert not list(path.parent.glob("*.part"))


def test_the_noise_of_a_cell_is_its_own_or_the_loudest(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path))
    assert noise_for("work", MACHINE) == ASSUMED
    first, second = calibrated(), calibrated(0.03, "other")
    keep(first, MACHINE)
    keep(second, MACHINE)
    assert noise_for("work", MACHINE) == first.noise
    found = noise_for("unknown", MACHINE)
    assert found.pair_sd == second.noise.pair_sd
    assert found.source == "calibrated on other, the loudest here"
    # Another machine's is in another file.
    assert noise_for("work", {**MACHINE, "cores": 8}) == ASSUMED


def test_a_calibration_of_another_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path))
    path = keep(calibrated(), MACHINE)
    with pytest.raises(DataError, match=r"another machine: cores 4 -> 8; run `benchgate calibrate`"):
        read(path, {**MACHINE, "cores": 8})


BREAKS = {
    "no JSON": lambda document: "{",
    "a list": lambda document: "[]",
    "another schema": lambda document: json.dumps({**document, "schema": 2}),
    "no machine": lambda document: json.dumps({**document, "machine": None}),
    "no cells": lambda document: json.dumps({**document, "cells": [1]}),
    "a cell that is no table": lambda document: json.dumps({**document, "cells": {"work": 3}}),
    "no noise": lambda document: changed(document, noise=None),
    "a spread of 0": lambda document: changed(document, noise={"pair_sd": 0, "zygote_sd": 0, "df": 3, "source": ""}),
    "a spread that is no number": lambda document: changed(document, pair={"sd": "x", "low": 0, "high": 1, "n": 3}),
    "NaN": lambda document: changed(document, alarms=math.nan),
    "below 0": lambda document: changed(document, pairs=-1),
}


def changed(document, **fields):
    return json.dumps({**document, "cells": {"work": {**document["cells"]["work"], **fields}}})


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_calibration_is_refused_and_then_replaced(tmp_path, monkeypatch, how):
    monkeypatch.setenv("BENCHGATE_CACHE", str(tmp_path))
    path = keep(calibrated(), MACHINE)
    path.write_text(BREAKS[how](json.loads(path.read_text())))
    with pytest.raises(DataError, match="benchgate calibrate"):
        noise_for("work", MACHINE)
    keep(calibrated(), MACHINE)
    assert file_of(MACHINE) == path
    assert set(read(path, MACHINE)) == {"work"}
