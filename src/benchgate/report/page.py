"""One self-contained HTML page of results: `benchgate report FILES... -o report.html`.

Nothing on it comes from outside: its Content-Security-Policy allows no request at all, and of scripts only the two that
are written here, by their SHA-256. Names are escaped by jinja2, or are JSON that the script shows as text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchgate import __version__
from benchgate.core import BenchgateError
from benchgate.gate.findings import FAILING
from benchgate.machine.packages import missing_packages
from benchgate.report import page_advice, page_curves, page_facts, page_figures
from benchgate.report.escape import visible
from benchgate.report.gate_formats import as_grid
from benchgate.report.grid import shown
from benchgate.report.page_content import Content, read_content
from benchgate.report.page_rounds import KEPT, Rounds, as_data, short
from benchgate.report.page_table import table
from benchgate.report.recommend_words import limits_of
from benchgate.results import Record
from benchgate.storage.whole import write_whole

HERE = Path(__file__).parent
NEEDS = {"jinja2": "report", "plotly": "report"}
# Bytes of the rounds of all cells together: the page stays below 6 MB with 1,000 cells of 20 metrics.
ROUNDS_BYTES = 1_200_000
PERCENTILES = {"latency_p50_s": "P50", "latency_p90_s": "P90", "latency_p95_s": "P95", "latency_p99_s": "P99"}


def write(files: Sequence[Path], path: Path, losses: Sequence[str] = ()) -> None:
    """Write the page of these files; `losses` are those of `benchgate recommend --max-loss`.

    Raises BenchgateError for what cannot be read or written; then there is no page where none was, and an older one is
    as it was.
    """
    content = read_content(files)
    if reason := missing_packages(NEEDS):
        raise BenchgateError(f"a page needs jinja2 and plotly: {reason}")
    text = render(content, _library(), f"benchgate {__version__}, plotly {version('plotly')}", losses)
    try:
        write_whole(path, text)
    except OSError as error:
        raise BenchgateError(f"cannot write {path}: {error.strerror}; give -o another place") from error


def render(content: Content, library: str, versions: str, losses: Sequence[str] = ()) -> str:
    """Return the page; `library` is the text of plotly.js, `versions` what the page says of who made it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    sources = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sources.filters |= {"entry": shown, "visible": visible}
    script = (HERE / "page.js").read_text(encoding="utf-8")
    courses, history_notes = page_curves.history(content)
    advice, no_advice = page_advice.advice(content.suite, limits_of([], [], losses))
    data = payload(content, courses)
    return sources.get_template("page.html.j2").render(
        policy=policy(script, library),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        library=base64.b64encode(gzip.compress(library.encode("utf-8"), 9, mtime=0)).decode("ascii"),
        data=Markup(embedded(data)),
        sections=[name for name, figures in data["figures"].items() if figures],
        rounds=data["rounds"],
        versions=versions,
        files=[results.about for results in content.results] + [name for name, _ in content.answers],
        verdict=page_facts.verdict(content),
        findings=page_facts.findings(content),
        failing=FAILING,
        advice=advice,
        no_advice=no_advice,
        losses=" ".join(f"--max-loss {text}" for text in losses or [page_advice.MOST_LOST]),
        answers=[(name, as_grid(answers)) for name, answers in content.answers],
        history_notes=history_notes,
        training=page_facts.training(content.records),
        absent=page_facts.absent(content),
        skipped=page_facts.skipped(content),
        surroundings=page_facts.surroundings(content),
    )


def payload(content: Content, courses: Sequence[page_figures.Figure]) -> dict[str, Any]:
    """All that the page's script draws: the table, the figures by section, the rounds of each timed cell.

    `courses` are the figures of the history.
    """
    rows = content.measured
    figures = {
        "workload": page_figures.workload(rows),
        "trade-offs": page_figures.trade_offs(rows),
        "scaling": page_figures.scaling(rows),
        "limits": page_curves.ceilings(content.results),
        "memory": page_curves.memory(rows),
        "history": courses,
        "side-by-side": (f for _, a in content.answers if (f := page_curves.side_by_side(a)) is not None),
    }
    return {
        "table": table(content),
        "figures": {name: [figure.as_data() for figure in found] for name, found in figures.items()},
        "rounds": rounds(content),
    }


def rounds(content: Content) -> dict[str, Any]:
    """The rounds of each cell, thinned out until all of them fit; `kept` is how many a cell has at most."""
    timed = [(row.record, found) for row in content.rows if (found := row.rounds) is not None]
    cells: list[dict[str, Any]] = []
    kept = KEPT[0]
    for kept in KEPT:
        cells = [_timed(record, found, kept) for record, found in timed]
        if len(_json(cells)) <= ROUNDS_BYTES:
            break
    return {"kept": kept, "thinned": sum(len(found.seconds) > kept for _, found in timed), "cells": cells}


def _timed(record: Record, found: Rounds, kept: int) -> dict[str, Any]:
    marks = {title: short(record.metrics[name].value) for name, title in PERCENTILES.items() if name in record.metrics}
    return {"name": visible(record.key), "marks": marks, **as_data(found, kept)}


def embedded(data: Any) -> str:
    """JSON that no HTML parser takes for anything else: no <, > or & in it, ASCII only."""
    return _json(data).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _json(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def policy(*scripts: str) -> str:
    """The Content-Security-Policy of a page that runs these scripts and no others, and asks nobody for anything."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode('utf-8')).digest()).decode()}'" for s in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _library() -> str:
    """plotly.js, which draws the figures: MIT, 4.8 MB, 2 MB packed as it is in the page."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text
