"""Instruments. Each module has one; `meters` is where they are found by name, in the order they run."""

from benchgate.core import Registry
from benchgate.meters.base import Meter
from benchgate.meters.energy import Energy
from benchgate.meters.latency import Latency
from benchgate.meters.memory import Memory
from benchgate.meters.size import Size

meters: Registry[Meter] = Registry("meter")
ALL = tuple(meter.name for meter in (Latency, Size, Memory, Energy))
for _meter in (Latency, Size, Memory, Energy):
    meters.add(_meter)

__all__ = ["ALL", "Meter", "meters"]
