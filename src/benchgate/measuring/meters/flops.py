"""Floating-point operations of a training step: counted, per second, and as a share of what matrix products reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from benchgate.core import Metric, Unavailable
from benchgate.core.metrics import metric

if TYPE_CHECKING:
    from benchgate.measuring.run import Run
    from benchgate.tasks.training_step.task import TrainingSession

# operation -> which count is its work; the optimizer's update is no model FLOP
COUNTED: Mapping[str, str] = {"forward": "forward", "forward_backward": "forward_backward", "step": "forward_backward"}


class FlopsMeter:
    """FLOP a call, FLOP/s at the median, and MFU: the share of the fastest matrix product on the same machine.

    The peak is measured, in the cell's precision and with its threads, not taken from a data sheet.
    """

    name = "flops"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("flops_per_call", "flops_per_s", "mfu")

    def measure(self, run: Run) -> Mapping[str, Metric]:
        if not hasattr(run.session, "flops"):
            raise Unavailable(f"{run.runtime.name} counts no operations")
        session = cast("TrainingSession", run.session)
        counts = session.flops()
        found = {"flops_forward": metric("flops_forward", counts.forward, method=METHOD)}
        found["flops_forward_backward"] = metric("flops_forward_backward", counts.forward_backward, method=METHOD)
        if run.operation == "backward":
            work = counts.forward_backward - counts.forward
        else:
            work = getattr(counts, COUNTED[run.operation])
        found["flops_per_call"] = metric("flops_per_call", work, method=METHOD)
        if run.benchmark.stats is None:
            run.missing |= dict.fromkeys(("flops_per_s", "mfu"), "timing is switched off")
            return found
        rate = work / run.benchmark.stats.stats.median
        peak = session.matmul_peak()
        found["flops_per_s"] = metric("flops_per_s", rate, method="flops_per_call / median of rounds")
        if rate > peak:
            # No share of a peak is above 1: the products were timed beside a neighbour.
            run.missing |= dict.fromkeys(
                ("matmul_peak_flops_per_s", "mfu"),
                f"{rate:.3g} FLOP/s are more than the {peak:.3g} of the matrix products timed as the peak: the "
                "machine was busy then; measure again on a quiet one",
            )
            return found
        found["matmul_peak_flops_per_s"] = metric("matmul_peak_flops_per_s", peak, method="best square matrix product")
        found["mfu"] = metric("mfu", rate / peak, method="flops_per_s / matmul_peak_flops_per_s")
        return found


METHOD = "torch.utils.flop_counter; attention counted whole, its masked half too"
