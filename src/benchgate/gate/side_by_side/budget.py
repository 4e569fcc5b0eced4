"""Who gets the next pair where time is short: the cell whose answer is furthest away, and the order to begin in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchgate.core import DataError


@dataclass(frozen=True)
class Candidate:
    """A cell in line: the half width of its interval so far (None: nothing is measured), what its next pair takes, and
    how suspicious its stored history is (0 not at all)."""

    name: str
    half_width: float | None
    pair_s: float
    suspicion: float = 0.0

    def __post_init__(self) -> None:
        if not self.pair_s > 0 or (self.half_width is not None and not self.half_width >= 0):
            raise DataError(
                f"{self.name}: a pair of {self.pair_s} s and an interval of {self.half_width}: above 0 s and at least "
                "0 are needed"
            )


def order(cells: Sequence[Candidate]) -> list[Candidate]:
    """Cells in the order to begin with: the suspicious first, among equals the cheap ones, then as they are given."""
    return sorted(cells, key=lambda cell: (-cell.suspicion, cell.pair_s))


def next_cell(cells: Sequence[Candidate], left_s: float) -> Candidate | None:
    """Return the cell that the next pair is spent on, None where no cell's pair fits into what is left.

    First those of which nothing is known, in `order`; then the one with the widest interval, among equals the cheaper.
    """
    fitting = [cell for cell in cells if cell.pair_s <= left_s]
    unknown = [cell for cell in order(fitting) if cell.half_width is None]
    if unknown:
        return unknown[0]
    return max(order(fitting), key=lambda cell: cell.half_width or 0.0, default=None)


def allocated(cells: Sequence[Candidate], budget_s: float, least: int = 3, most: int = 30) -> Mapping[str, int]:
    """Return the pairs for each cell that a budget pays for, widest interval first, before any is made.

    An interval is taken to shrink with the square root of its pairs. A cell has at least `least` pairs or none: fewer
    decide nothing. At most `most`: what they do not tell, more do not either.
    """
    if budget_s < 0:
        raise DataError(f"a budget of {budget_s:g} s: at least 0 is needed, for example 10m")
    pairs = dict.fromkeys((cell.name for cell in cells), 0)
    if len(pairs) != len(cells):
        raise DataError("two cells of one name share no budget; give each its own")
    left = budget_s
    for cell in order(cells):
        if least * cell.pair_s <= left:
            pairs[cell.name] = least
            left -= least * cell.pair_s
    begun = [cell for cell in cells if pairs[cell.name]]
    while open_cells := [c for c in begun if pairs[c.name] < most and c.pair_s <= left]:
        widest = max(order(open_cells), key=lambda cell: _width_after(cell, pairs[cell.name], least))
        if _width_after(widest, pairs[widest.name], least) == 0:
            break
        pairs[widest.name] += 1
        left -= widest.pair_s
    return pairs


def _width_after(cell: Candidate, pairs: int, least: int) -> float:
    """The half width after so many pairs; one that is not known yet counts as 1."""
    at_first = 1.0 if cell.half_width is None else cell.half_width
    return float(at_first * (least / pairs) ** 0.5)
