"""Apple's powermetrics: means of watts over short intervals, as a stream of property lists.

It reads the counters of the processor itself, which no other interface of macOS shows, and wants the superuser.
"""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from benchgate.core import Unavailable
from benchgate.machine.counters import Channel, Joules, Refused

PERIOD_S = 0.5
# Ten minutes: one whose parent was killed ends by itself.
MOST_SAMPLES = 1200
# It takes a moment to start; samples that cover less of a window than this are not of that window.
LEAST_COVERED = 0.8
COMMAND = (
    "powermetrics",
    "--samplers",
    "cpu_power,gpu_power",
    "--format",
    "plist",
    "-i",
    f"{PERIOD_S * 1e3:.0f}",
    "-n",
    str(MOST_SAMPLES),
)
STOP_S = 5.0
# Key in `processor` -> (name of the channel, watts a unit, part of another). Apple silicon tells mW, Intel Macs W.
KEYS: Mapping[str, tuple[str, float, bool]] = {
    "combined_power": ("processor", 1e-3, False),
    "package_watts": ("processor", 1.0, False),
    "cpu_power": ("cpu", 1e-3, True),
    "gpu_power": ("gpu", 1e-3, True),
    "ane_power": ("ane", 1e-3, True),
}
# What plistlib raises for text that is no property list.
BROKEN = (ValueError, TypeError, AttributeError, LookupError, OverflowError, ExpatError)


def parse(stream: bytes) -> list[tuple[float, dict[str, float]]]:
    """Return the (seconds, watts by channel) of each whole sample in powermetrics' output; a last, cut one is left out.

    Raises Unavailable for anything else.
    """
    parts = [part.strip() for part in stream.split(b"\0")]
    return [_sample(part) for part in parts if part.endswith(b"</plist>")]


def _sample(part: bytes) -> tuple[float, dict[str, float]]:
    try:
        told: Any = plistlib.loads(part, fmt=plistlib.FMT_XML)
        seconds = float(told["elapsed_ns"]) / 1e9
        processor = told["processor"]
        watts = {
            name: float(processor[key]) * unit
            for key, (name, unit, _) in KEYS.items()
            if processor.get(key) is not None
        }
    except BROKEN as error:
        raise Unavailable(
            f"powermetrics answered what cannot be understood: {error or type(error).__name__}"
        ) from error
    if not seconds > 0 or any(not 0 <= value < float("inf") for value in watts.values()):
        raise Unavailable(f"powermetrics answered {watts} W over {seconds:g} s, which cannot be")
    return seconds, watts


def mean_watts(samples: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """Return the watts of each channel over all samples together. Raises Unavailable where there is no sum of them."""
    if not samples or any("processor" not in watts for _, watts in samples):
        raise Unavailable(f"powermetrics gave {len(samples)} samples, and not in all the power of the processor")
    seconds = sum(taken for taken, _ in samples)
    names = set.intersection(*(set(watts) for _, watts in samples))
    found = {name: sum(taken * watts[name] for taken, watts in samples) / seconds for name in sorted(names)}
    if found["processor"] == 0:
        raise Unavailable("powermetrics gave 0 W for the processor in every sample: it does not measure here")
    return found


class Running:
    """A started powermetrics; `stop()` ends it and returns what it printed."""

    def __init__(self) -> None:
        # A file, not a pipe: nobody reads while a window is measured, and a full pipe stops what writes into it.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  `stop` closes it
        self._process = subprocess.Popen(COMMAND, stdout=self._output, stderr=subprocess.DEVNULL)

    def stop(self) -> bytes:
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._output as output:
            output.seek(0)
            return output.read()


def _not_alone() -> float:
    raise OSError("powermetrics tells watts over an interval only")


@dataclass(frozen=True)
class Streaming:
    """A reader of powermetrics: joules are the mean of its samples times the interval that they lie in."""

    start: Callable[[], Callable[[], bytes]]
    clock: Callable[[], float] = time.monotonic
    channels: Sequence[Channel] = (Channel("processor", _not_alone),)

    def begin(self) -> Callable[[], Joules]:
        try:
            stop = self.start()
        except OSError as error:
            raise Unavailable(f"powermetrics cannot be started: {error.strerror or error}") from error
        begun = self.clock()

        def end() -> Joules:
            seconds = self.clock() - begun
            samples = parse(stop())
            covered = sum(taken for taken, _ in samples)
            if covered < LEAST_COVERED * seconds:
                raise Unavailable(f"powermetrics told {covered:.3g} s of a window of {seconds:.3g} s")
            return {name: watts * seconds for name, watts in mean_watts(samples).items()}

        return end


def find(root: Path) -> Streaming:
    """Return the reader on a Mac, for the superuser. There are no files below `root` to look for."""
    if sys.platform != "darwin" or shutil.which(COMMAND[0]) is None:
        raise Unavailable("powermetrics is Apple's; this is no Mac")
    if os.geteuid() != 0:
        raise Refused('powermetrics wants the superuser: run `sudo -E "$(which python)" -m pytest benchmarks`')
    return Streaming(lambda: Running().stop)
