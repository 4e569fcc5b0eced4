"""The words for figures that reports share with the gate: see benchgate.core.units."""

from benchgate.core.units import factor, human, percent, scale, three_digits

__all__ = ["factor", "human", "percent", "scale", "three_digits"]
