"""Figures for people: SI values in a unit that fits."""

from __future__ import annotations

from collections.abc import Sequence

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_JOULES = ((1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"))
_WATTS = ((1.0, "W"), (1e-3, "mW"))
_SCALES = {"s": _TIMES, "B": _BYTES, "J": _JOULES, "W": _WATTS}


def human(value: float, unit: str) -> str:
    """`0.0123, "s"` -> `12.3 ms`; shares and scores with three decimals; everything else with three digits."""
    if unit in _SCALES:
        return _scaled(value, _SCALES[unit])
    if unit == "1" and abs(value) <= 1:
        return f"{value:.3f}"
    return three_digits(value)


def scale(values: Sequence[float], unit: str) -> tuple[float, str]:
    """(what to divide by, unit) for an axis over these values: seconds as ms, bytes as MB, others as they are."""
    steps = _SCALES.get(unit)
    if steps is None:
        return 1.0, "" if unit == "1" else unit
    largest = max(map(abs, values), default=0.0)
    return next((step for step in steps if largest >= step[0]), steps[-1])


def _scaled(value: float, steps: tuple[tuple[float, str], ...]) -> str:
    for factor, name in steps:
        if abs(value) >= factor:
            return f"{three_digits(value / factor)} {name}"
    return f"{three_digits(value / steps[-1][0])} {steps[-1][1]}" if value else f"0 {steps[-1][1]}"


def three_digits(value: float) -> str:
    """Three significant digits without an exponent below a million: 1.23, 12.3, 123, 1,234."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def percent(change: float) -> str:
    """A relative change: `+4,513 %`, `-12.3 %`, `+0.4 %`."""
    return f"{100 * change:+,.0f} %" if abs(change) >= 1 else f"{100 * change:+.1f} %"


def factor(ratio: float) -> str:
    """A ratio: `1.57x`, `0.30x`, `12.3x`, `1,234x`."""
    return f"{ratio:.2f}x" if 0.01 <= abs(ratio) < 10 or ratio == 0 else f"{three_digits(ratio)}x"


def share(part: float) -> str:
    """A part without a sign: `20 %`, `0.5 %`."""
    return f"{100 * part:,.0f} %" if part >= 1 else f"{100 * part:.3g} %"
