"""The results of `benchgate calibrate`: noise by name and what the rule is worth with it, with the machine it is of.

One file a machine in the cache. It is read as strictly as any input: one that is broken, or of another machine, is
refused and never used in silence.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.gate.side_by_side.calibration import Level
from benchgate.gate.side_by_side.rule import ASSUMED, Noise
from benchgate.machine.fingerprint import differences
from benchgate.storage import cache
from benchgate.storage.whole import write_whole

FOLDER = "calibration"
SCHEMA = 1
AGAIN = "run `benchgate calibrate` on this machine"


@dataclass(frozen=True)
class Found:
    """Live comparisons with a slowdown injected: `share` of a call's own time, spun or slept (`how`; "" for none).

    Of `trials`, `regressed` and `same` were called so; `change` is the median of what they measured.
    """

    share: float
    how: str
    trials: int
    regressed: int
    same: int
    change: float | None


@dataclass(frozen=True)
class Calibrated:
    """One workload or cell on one machine.

    `block`, `pair`, `zygote` are the spreads by level (log), `noise` what the rule believes, `statistic` by which.
    `alarms` (of one cell, nothing changed), `pairs` (mean until a verdict) and `smallest` (relative slowdown found in
    90 % of trials, None above 50 %) are simulated with the measured pairs; `found` is live. `pair_s` is what a pair
    takes, `call_s` a call, `load` the load average meanwhile.
    """

    name: str
    statistic: str
    block: Level
    pair: Level
    zygote: Level
    noise: Noise
    alarms: float
    pairs: float
    smallest: float | None
    found: tuple[Found, ...]
    pair_s: float
    load: float

    @property
    def verdict_minutes(self) -> float:
        """Minutes until a verdict where nothing changed."""
        return self.pairs * self.pair_s / 60

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def file_of(machine: Mapping[str, Any]) -> Path:
    """The file of this machine's calibration; not necessarily there."""
    text = json.dumps(machine, sort_keys=True, default=str)
    return cache.root() / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def keep(found: Calibrated, machine: Mapping[str, Any]) -> Path:
    """Put one calibration beside those of other names of this machine, in place of an older one of its name."""
    path = file_of(machine)
    with cache.locked(path), cache.explained(path):
        try:
            known = read(path, machine)
        except DataError:
            # A broken one is replaced: that is what its message told to do.
            known = {}
        known = {**known, found.name: found}
        document = {"schema": SCHEMA, "machine": machine, "cells": {n: c.as_dict() for n, c in known.items()}}
        write_whole(path, json.dumps(document, indent=1, default=str))
    return path


def read(path: Path, machine: Mapping[str, Any]) -> dict[str, Calibrated]:
    """Return the calibrations of a file by name, {} where there is none.

    Raises DataError for one that is broken, of another schema or of another machine.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no calibration ({error}); {AGAIN}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DataError(f"{path}: no calibration of schema {SCHEMA}; {AGAIN}")
    theirs = document.get("machine")
    ours = json.loads(json.dumps(machine, default=str))
    if not isinstance(theirs, dict) or (other := differences(ours, theirs)):
        raise DataError(f"{path}: a calibration of another machine: {', '.join(other) if theirs else '?'}; {AGAIN}")
    cells = document.get("cells")
    if not isinstance(cells, dict):
        raise DataError(f"{path}: cells is no table; {AGAIN}")
    try:
        return {name: _parsed(name, raw) for name, raw in cells.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: {type(error).__name__}: {error}; {AGAIN}") from error


def _parsed(name: str, raw: Mapping[str, Any]) -> Calibrated:
    noise = raw["noise"]
    pair_sd, zygote_sd = _numbers(noise, "pair_sd", "zygote_sd")
    alarms, pairs, pair_s, load = _numbers(raw, "alarms", "pairs", "pair_s", "load")
    return Calibrated(
        name=name,
        statistic=str(raw["statistic"]),
        block=_level(raw["block"]),
        pair=_level(raw["pair"]),
        zygote=_level(raw["zygote"]),
        noise=Noise(pair_sd, zygote_sd, int(noise["df"]), str(noise["source"])),
        alarms=alarms,
        pairs=pairs,
        smallest=None if raw["smallest"] is None else float(raw["smallest"]),
        found=tuple(Found(**{field.name: one[field.name] for field in FOUND}) for one in raw["found"]),
        pair_s=pair_s,
        load=load,
    )


def _level(raw: Mapping[str, Any]) -> Level:
    sd, low, high = _numbers(raw, "sd", "low", "high")
    return Level(sd, low, high, int(raw["n"]))


FOUND = dataclasses.fields(Found)


def _numbers(raw: Mapping[str, Any], *names: str) -> tuple[float, ...]:
    found = tuple(raw[name] for name in names)
    for name, value in zip(names, found, strict=True):
        # NaN is no number >= 0; an infinite bound is one that could not be told.
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
            raise ValueError(f"{name} {value!r} is no number >= 0")
    return found


def noise_for(name: str, machine: Mapping[str, Any]) -> Noise:
    """Return the noise to believe for a cell: its own calibration, else the loudest of this machine's, else assumed.

    `source` says which. Raises DataError where the file cannot be used.
    """
    known = read(file_of(machine), machine)
    if name in known:
        return known[name].noise
    if not known:
        return ASSUMED
    loudest = max(known.values(), key=lambda found: found.noise.pair_sd)
    return dataclasses.replace(loudest.noise, source=f"calibrated on {loudest.name}, the loudest here")
