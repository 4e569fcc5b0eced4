"""Floating-point operations of a training step: counted, per second, and as a share of what matrix products reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from benchgate.core import Unavailable
from benchgate.core.metrics import metric
from benchgate.measuring.meters.base import Reading, Subject

# operation -> which count is its work; the optimizer's update is no model FLOP
COUNTED: Mapping[str, str] = {"forward": "forward", "forward_backward": "forward_backward", "step": "forward_backward"}


@runtime_checkable
class CountsFlops(Protocol):
    """A session that counts the operations of its work."""

    def flops(self) -> Any:
        """Return counts with `forward` and `forward_backward`. Raises Unavailable."""

    def matmul_peak(self) -> float:
        """Return the FLOP/s of the fastest matrix product in the same precision, device and threads."""


class FlopsMeter:
    """FLOP a call, FLOP/s at the median, and MFU: the share of the fastest matrix product on the same machine.

    The peak is measured, in the cell's precision and with its threads, not taken from a data sheet.
    """

    name = "flops"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("flops_per_call", "flops_per_s", "mfu")

    def measure(self, subject: Subject) -> Reading:
        session, operation = subject.loaded.session, subject.asked.name
        if not isinstance(session, CountsFlops):
            raise Unavailable(f"{subject.loaded.of.runtime.name} counts no operations")
        counts = session.flops()
        if operation == "backward":
            work = counts.forward_backward - counts.forward
        else:
            work = getattr(counts, COUNTED[operation])
        values = {
            "flops_forward": counts.forward,
            "flops_forward_backward": counts.forward_backward,
            "flops_per_call": work,
        }
        found = {name: metric(name, value, method=METHOD) for name, value in values.items()}
        median = subject.metrics.get("latency_median_s")
        if median is None:
            return Reading(found, dict.fromkeys(("flops_per_s", "mfu"), "timing is switched off"))
        rate, peak = work / median.value, session.matmul_peak()
        found["flops_per_s"] = metric("flops_per_s", rate, method="flops_per_call / median of rounds")
        if rate > peak:
            # No share of a peak is above 1: the products were timed beside a neighbour.
            reason = (
                f"{rate:.3g} FLOP/s are more than the {peak:.3g} of the matrix products timed as the peak: the "
                "machine was busy then; measure again on a quiet one"
            )
            return Reading(found, dict.fromkeys(("matmul_peak_flops_per_s", "mfu"), reason))
        found["matmul_peak_flops_per_s"] = metric("matmul_peak_flops_per_s", peak, method="best square matrix product")
        found["mfu"] = metric("mfu", rate / peak, method="flops_per_s / matmul_peak_flops_per_s")
        return Reading(found)


METHOD = "torch.utils.flop_counter; attention counted whole, its masked half too"
