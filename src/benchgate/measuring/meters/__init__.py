"""Instruments. Each module has one; `meters` is where they are found by name, in the order they run."""

from benchgate.core import Registry
from benchgate.measuring.meters.base import Apart, Asked, Elsewhere, Instrument, MeasuresApart, Meter, Reading, Subject
from benchgate.measuring.meters.energy import Energy
from benchgate.measuring.meters.flops import FlopsMeter
from benchgate.measuring.meters.latency import Latency
from benchgate.measuring.meters.memory import Memory
from benchgate.measuring.meters.size import Size
from benchgate.measuring.meters.training_memory import TrainingMemory

meters: Registry[Meter | MeasuresApart] = Registry("meter")
ALL = tuple(meter.name for meter in (Latency, Size, Memory, Energy))
# The last two speak only to training sessions: a test asks for them.
for _meter in (Latency, Size, Memory, Energy, FlopsMeter, TrainingMemory):
    meters.add(_meter)

__all__ = [
    "ALL",
    "Apart",
    "Asked",
    "Elsewhere",
    "Instrument",
    "MeasuresApart",
    "Meter",
    "Reading",
    "Subject",
    "meters",
]
