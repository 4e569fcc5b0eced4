"""Instruments. Each module has one; `meters` is where they are found by name, `chosen` those of one measurement."""

from collections.abc import Mapping, Sequence

from benchgate.core import Registry
from benchgate.machine.energy_counters import can_be_read
from benchgate.measuring.meters.base import Apart, Asked, Elsewhere, Instrument, MeasuresApart, Meter, Reading, Subject
from benchgate.measuring.meters.energy import Energy
from benchgate.measuring.meters.flops import FlopsMeter
from benchgate.measuring.meters.latency import Latency
from benchgate.measuring.meters.memory import Memory
from benchgate.measuring.meters.size import Size
from benchgate.measuring.meters.training_memory import TrainingMemory

meters: Registry[Meter | MeasuresApart] = Registry("meter", ("optional", "gives"))
# Energy comes with them where a counter can be read.
ALWAYS = tuple(meter.name for meter in (Latency, Size, Memory))
# The last two speak only to training sessions: a test asks for them.
for _meter in (Latency, Size, Memory, Energy, FlopsMeter, TrainingMemory):
    meters.add(_meter)


def chosen(names: Sequence[str] | None, device: str, also: Sequence[Meter] = ()) -> Mapping[str, Meter | MeasuresApart]:
    """Return the meters of these names in the order they run, latency always; None are those that make sense here.

    Raises UnknownName. `also` are meters that have no name to be asked for by.
    """
    if names is None:
        names = [*ALWAYS, *([Energy.name] if can_be_read(device) else [])]
    found = {name: meters[name] for name in dict.fromkeys([Latency.name, *names])}
    return {**found, **{meter.name: meter for meter in also}}


__all__ = [
    "Apart",
    "Asked",
    "Elsewhere",
    "Instrument",
    "MeasuresApart",
    "Meter",
    "Reading",
    "Subject",
    "chosen",
    "meters",
]
