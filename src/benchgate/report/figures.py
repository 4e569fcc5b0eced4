"""Colours and the writing of a file, the same for all charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchgate.core import BenchgateError

# Colour-blind safe (Okabe & Ito 2008); a runtime keeps its colour in all bar charts of one call.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")


def save(figure: Any, path: Path) -> Path:
    """Write a matplotlib figure, the same file for the same figures. Raises BenchgateError for an unknown format."""
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except ValueError as error:
        raise BenchgateError(f"cannot write {path.name}: {error}") from error
    return path
