"""Energy by a model: CPU time times a stated power of one busy core. An estimate, and called so everywhere."""

from __future__ import annotations

from benchgate.core import Unavailable
from benchgate.core.metrics import metric
from benchgate.measuring.meters.base import Reading, Subject
from benchgate.measuring.meters.latency import SWITCHED_OFF
from benchgate.measuring.meters.repeated import repeat

WINDOW_S = 1.0


class ModelledEnergy:
    """Joules a call, modelled: its CPU time times the watts a core that whoever asks for it states.

    It knows nothing of memory, clock or idle power, and two cells differ in it as they differ in CPU time.
    """

    name = "modelled-energy"
    optional = True
    gives: tuple[str, ...] = ("modelled_energy_j_per_call",)

    def __init__(self, watts_per_core: float) -> None:
        self.watts_per_core = watts_per_core

    def measure(self, subject: Subject) -> Reading:
        device, median = subject.loaded.of.device, subject.metrics.get("latency_median_s")
        if device.name != "cpu":
            raise Unavailable(f"the model is of CPU time, and this cell computes on {device.name}")
        if median is None:
            raise Unavailable(SWITCHED_OFF)
        ran = repeat(subject.work, median.value, WINDOW_S)
        each_s = ran.cpu_s / ran.calls
        method = (
            f"estimate, modelled and not measured: {each_s:.3g} s of CPU x {self.watts_per_core:g} W a core as stated"
        )
        figure = metric("modelled_energy_j_per_call", each_s * self.watts_per_core, method=method)
        said = {"watts_per_core": self.watts_per_core, "cpu_s_per_call": each_s}
        return Reading(dict.fromkeys(self.gives, figure), details={"modelled_energy": said})
