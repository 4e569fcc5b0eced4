"""Peak memory of loading a model and running it once, in processes of their own, beside the timing.

Two passes, each in a new process that has imported the runtime's packages and nothing else: one whose resident set is
read at the end, one under memray (whose own bookkeeping would show in the first). Nothing is timed in them, and a
process's peak knows nothing of another's: where there is memory for both they run side by side.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import ClassVar

from benchgate.core import BenchgateError, Unavailable
from benchgate.core.metrics import metric
from benchgate.core.transformed import for_load
from benchgate.machine.budget import room
from benchgate.machine.devices import devices
from benchgate.machine.workers import WorkerDied, WorkerTimeout
from benchgate.measuring.imports import have
from benchgate.measuring.meters.base import Apart, Elsewhere, Reading

PASS_TIMEOUT_S = 600.0
# Two processes of what the timed one took at most, and as much again for what memray keeps and others take.
ROOM_OF_TWO = 3


class Memory:
    """Bytes at the high-water mark: allocations (memray, native ones included), resident set, device allocator."""

    name = "memory"
    optional = True
    gives: ClassVar[tuple[str, ...]] = ("peak_native_bytes", "peak_rss_bytes", "peak_device_bytes")

    def measure_apart(self, cell: Apart, elsewhere: Elsewhere) -> Reading:
        passes = (_resident, _allocated)
        if fit_together(cell):
            resident, allocated = elsewhere.side_by_side(passes, cell, timeout_s=PASS_TIMEOUT_S)
        else:
            resident, allocated = (partial(elsewhere, one, cell, timeout_s=PASS_TIMEOUT_S) for one in passes)
        try:
            peaks, missing = resident()
        except (WorkerDied, WorkerTimeout) as failed:
            raise Unavailable(f"the measuring process: {failed}") from failed
        try:
            peaks["peak_native_bytes"] = allocated()
        except BenchgateError as failed:
            missing["peak_native_bytes"] = str(failed)
        return Reading({name: metric(name, value, method=METHODS[name]) for name, value in peaks.items()}, missing)


METHODS = {
    "peak_native_bytes": "memray high-water mark of load + first call, beyond the imports",
    "peak_rss_bytes": "resident set high-water mark of a fresh process: imports + load + first call",
    "peak_device_bytes": "the device allocator's own high-water mark of load + first call",
}


def fit_together(cell: Apart) -> bool:
    """True where both passes at once leave memory free; a device's own allocator is never asked by two."""
    if cell.resident_bytes is None or cell.of.device.peak_bytes is not None:
        return False
    try:
        return room().bytes > ROOM_OF_TWO * cell.resident_bytes
    except Unavailable:
        return False


def known_high_water() -> int | None:
    """Return `resident_high_water()`, None where the system does not tell."""
    try:
        return resident_high_water()
    except Unavailable:
        return None


def _load_and_call(cell: Apart) -> None:
    # Progress bars and notes of libraries belong to the session's output, which already had them.
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        of, asked = cell.of, cell.asked
        session = of.session(cell.path, cell.threads)
        work = asked.function(session, for_load(of.model, of.scheme), asked.inputs, **asked.params)
        for before in (work.begin, work.prepare):
            if before is not None:
                before()
        work.started()()


def _resident(cell: Apart) -> tuple[dict[str, int], dict[str, str]]:
    device = devices[cell.of.device.name]
    if device.reset_peak is not None:
        device.reset_peak()
    _load_and_call(cell)
    found, missing = {}, {}
    if device.synchronize is not None:
        device.synchronize()
    if device.peak_bytes is None:
        missing["peak_device_bytes"] = f"{device.name} has no allocator of its own"
    else:
        found["peak_device_bytes"] = device.peak_bytes()
    found["peak_rss_bytes"] = resident_high_water()
    return found, missing


def resident_high_water() -> int:
    """Bytes of this process's resident set at its largest. Raises Unavailable where the system does not tell."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError as error:
        raise Unavailable("this system does not tell a process's peak resident set") from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _allocated(cell: Apart) -> int:
    try:
        import memray
    except ImportError as error:
        raise Unavailable("memray is not installed; it runs on Linux and macOS: pip install memray") from error
    # Before the tracker looks: what imports allocate is not the model's, and tracked they take three times as long.
    have(cell.imports)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "memray.bin"
        with memray.Tracker(file, file_format=memray.FileFormat.AGGREGATED_ALLOCATIONS):
            _load_and_call(cell)
        return int(memray.FileReader(file).metadata.peak_memory)
