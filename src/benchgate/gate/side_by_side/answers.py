"""The answers of a run against another version of the project: one a cell, and all of them, as JSON.

Written by `pytest --gate-against ... --gate-report FILE`, read by whatever shows them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchgate.core import DataError
from benchgate.gate.findings import SUSPICIOUS, Finding
from benchgate.gate.findings import Kind as FindingKind
from benchgate.gate.side_by_side.verdict import Change, Kind, Verdict

SCHEMA = 1
KINDS: tuple[Kind, ...] = (
    "regressed",
    "broken",
    "inconclusive",
    "not comparable",
    "improved",
    "same",
    "code not exercised",
    "unchanged",
)
# Kinds that decide nothing.
OPEN: frozenset[Kind] = frozenset({"inconclusive", "not comparable", "broken"})
EQUAL: frozenset[Kind] = frozenset({"same", "unchanged"})
TIME = "time"
AGAIN = "write it anew with `pytest ... --gate-against REF --gate-report FILE`"


@dataclass(frozen=True)
class CellAnswer:
    """Verdicts on one cell, by metric; `time` is the call's, and stands for the cell where nothing else was asked.

    `test` is the node id, `changed` names what differs between the sides of what this cell ran: modules, packages, the
    artifact, threads, kernels.
    """

    test: str
    verdicts: Mapping[str, Verdict]
    changed: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """The verdict that weighs most: KINDS in their order."""
        return min((verdict.kind for verdict in self.verdicts.values()), key=KINDS.index)

    def fails(self, strict: bool = False) -> bool:
        """True where one of the verdicts fails a run."""
        return any(verdict.fails(strict) for verdict in self.verdicts.values())

    def __str__(self) -> str:
        """Verdicts, what weighs most first; metrics beside the time that did not change by their names."""
        ordered = sorted(self.verdicts.items(), key=lambda row: (KINDS.index(row[1].kind), row[0] != TIME))
        told = [
            str(verdict) if name == TIME else f"{name} {verdict}"
            for name, verdict in ordered
            if name == TIME or verdict.kind not in EQUAL
        ]
        same = [name for name, verdict in ordered if name != TIME and verdict.kind in EQUAL]
        alike = f"; the same: {', '.join(same)}" if same else ""
        changed = f" [changed: {', '.join(self.changed)}]" if self.changed else ""
        return "; ".join(told) + alike + changed


@dataclass(frozen=True)
class GateAnswers:
    """All of one run. `baseline` and `candidate` say what the sides were (a ref with its commit, a folder, a python).

    `gone` are tests of the baseline that the candidate has not; `notes` hold for the whole run. `load` is the load
    average over the last minute when it began.
    """

    baseline: str
    candidate: str
    cells: tuple[CellAnswer, ...] = ()
    gone: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    load: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def counts(self) -> dict[Kind, int]:
        """How many cells there are of each kind, those that weigh most first."""
        found = Counter(cell.kind for cell in self.cells)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def fails(self, strict: bool = False) -> bool:
        """True where a cell fails; strictly also where one is gone."""
        return any(cell.fails(strict) for cell in self.cells) or (strict and bool(self.gone))

    def as_json(self) -> str:
        cells = [
            {"test": c.test, "changed": list(c.changed), "verdicts": {n: v.as_dict() for n, v in c.verdicts.items()}}
            for c in self.cells
        ]
        return json.dumps(
            {
                "schema": SCHEMA,
                "baseline": self.baseline,
                "candidate": self.candidate,
                "cells": cells,
                "gone": list(self.gone),
                "notes": list(self.notes),
                "seconds": self.seconds,
                "load": self.load,
                "environment": dict(self.environment),
            },
            indent=1,
        )


def confirmed(findings: Sequence[Finding], answer: CellAnswer) -> list[Finding]:
    """Return the findings on a cell with its suspicious times decided by the answer; open ones stay suspicious.

    A candidate that is no slower than the other version has not become so by this change: the machine has.
    """
    kinds: Mapping[bool | None, FindingKind] = {True: "regressed", False: "unchanged", None: SUSPICIOUS}
    slower = True if answer.fails() else None if answer.kind in OPEN else False
    return [
        replace(found, kind=kinds[slower], reason=f"side by side: {answer}") if found.kind == SUSPICIOUS else found
        for found in findings
    ]


def read_answers(path: Path) -> GateAnswers:
    """Return what a file holds. Raises DataError, with the way to a good one, for any other file."""
    try:
        return _parsed(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: no answers of the gate ({type(error).__name__}: {error}); {AGAIN}") from error


def _parsed(raw: Mapping[str, Any]) -> GateAnswers:
    if raw["schema"] != SCHEMA:
        raise ValueError(f"schema {raw['schema']!r} instead of {SCHEMA}")
    cells = tuple(
        CellAnswer(_text(c["test"]), {_text(n): _verdict(v) for n, v in c["verdicts"].items()}, _texts(c["changed"]))
        for c in raw["cells"]
    )
    if not all(cell.verdicts for cell in cells):
        raise ValueError("a cell without a verdict")
    return GateAnswers(
        _text(raw["baseline"]),
        _text(raw["candidate"]),
        cells,
        _texts(raw["gone"]),
        _texts(raw["notes"]),
        float(raw["seconds"]),
        None if raw["load"] is None else float(raw["load"]),
        {_text(name): _text(value) for name, value in raw["environment"].items()},
    )


def _verdict(raw: Mapping[str, Any]) -> Verdict:
    kind: Kind = next(kind for kind in KINDS if kind == raw["kind"]) if raw["kind"] in KINDS else _unknown(raw["kind"])
    return Verdict(
        kind,
        _text(raw["reason"]),
        raw["statistic"],
        _change(raw["change"]),
        int(raw["pairs"]),
        int(raw["dropped"]),
        int(raw["zygotes"]),
        _text(raw["decide"]),
        _text(raw["noise"]),
        _text(raw["broken"]),
        float(raw["seconds"]),
        raw["seed"],
        {_text(name): found for name, change in raw["beside"].items() if (found := _change(change)) is not None},
        _texts(raw["notes"]),
    )


def _unknown(kind: Any) -> Kind:
    raise ValueError(f"verdict {kind!r} is none of {', '.join(KINDS)}")


def _change(raw: Mapping[str, Any] | None) -> Change | None:
    return None if raw is None else Change(float(raw["value"]), float(raw["low"]), float(raw["high"]))


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError(f"{raw!r} is no text")
    return raw


def _texts(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise TypeError(f"{raw!r} is no list")
    return tuple(map(_text, raw))
