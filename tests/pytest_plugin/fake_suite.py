"""What the plugin tests measure: copied as suite.py into a project of their own. No ML library.

The environment makes it slow, wrong, fat or dead: FAKE_SPIN (s a call), FAKE_ACCURACY, FAKE_BYTES, FAKE_VERSION,
FAKE_SCORE_PAUSE (s an item of data), FAKE_MARKS (a file), and FAKE_EVENT=`<cell>=<what>` with what of kill, interrupt,
interrupt-late (within the timed rounds), unavailable, error, oom, oom-build (while it is compressed), timeout,
nan-output, nan-score, size-gone.
"""

import math
import os
import signal
import time
from dataclasses import dataclass, field

import benchgate
from benchgate import InvalidOutput, Metric, Unavailable, Work
from benchgate.core.shards import WHOLE
from benchgate.machine.devices import Device, devices


def setting(name, default):
    return type(default)(os.environ.get(f"FAKE_{name}", default))


def event(model, scheme):
    cell, _, what = setting("EVENT", "").partition("=")
    return what if cell == f"{model}-{scheme}" else ""


devices.add(Device("fpga", missing=lambda: "no FPGA card in this machine", fingerprint=dict))


@dataclass(frozen=True)
class FakeModel:
    name: str
    task: str = "faking"

    @property
    def version(self):
        return setting("VERSION", "1")

    def build(self):
        return None


for name in setting("MODELS", "fake-a,fake-b,fake-c").split(","):
    benchgate.model(FakeModel(name))


class FakeSession:
    def __init__(self, model, scheme):
        self.kernel = {"weights": {f"dense {scheme}": 1}}
        self.weights_bytes = None if event(model, scheme) == "size-gone" else setting("BYTES", 1000)
        self.identity = ""
        self.model, self.scheme = model, scheme
        self.closed = False
        self.calls = 0

    def __call__(self, batch):
        assert not self.closed
        # CPU time: the same on a busy machine.
        end = time.process_time() + setting("SPIN", 0.0002)
        what = event(self.model, self.scheme)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls += 1
        if what == "interrupt" or (what == "interrupt-late" and self.calls > 75):
            # As Ctrl-C does. No signal: a run in the background ignores it.
            raise KeyboardInterrupt
        if what == "unavailable":
            raise Unavailable("this CPU has no such kernel")
        if what == "error":
            raise RuntimeError("the fake broke")
        if what == "oom":
            raise MemoryError("no more of it")
        if what == "timeout":
            raise TimeoutError("not done within 5 s")
        while time.process_time() < end:
            pass
        return float("nan") if what == "nan-output" else float(batch)

    def close(self):
        self.closed = True


def answer(session, model, inputs, batch=1):
    return Work(call=lambda: session(inputs), units=batch, check=check)


def check(output):
    if math.isnan(output):
        raise InvalidOutput("the answer is NaN")


class Numbers(list):
    """As many items of data."""

    def __init__(self, count):
        super().__init__(0.1 * n for n in range(count))

    def describe(self):
        return {"dataset": "numbers", "n": len(self)}


@benchgate.task
class Faking:
    name = "faking"
    unit = "answers"
    operations = {"answer": answer}  # noqa: RUF012

    def sample(self, model, batch):
        return batch

    def score(self, session, model, data):
        if isinstance(data, Numbers):
            return self.summed(session, model, data, self.answers(session, model, data, WHOLE))
        broken = event(session.model, session.scheme) == "nan-score"
        value = float("nan") if broken else setting("ACCURACY", 0.9) - (0.1 if session.scheme == "bf16" else 0.0)
        return {"accuracy": Metric(value, "1", "higher", 50, 0.7, 0.95, "50 made-up answers; Wilson interval")}

    def answers(self, session, model, data, shard):
        found = {}
        for place in shard.takes(range(len(data))):
            time.sleep(setting("SCORE_PAUSE", 0.0))
            leave(f"{shard.of} {place} {model.name}-{session.scheme}")
            found[str(place)] = math.sin(data[place])
        if event(session.model, session.scheme) == "nan-score" and shard.number == 1:
            raise InvalidOutput("the answer is NaN")
        return found

    def summed(self, session, model, data, answers):
        values = [answers[str(place)] for place in range(len(data))]
        return {"accuracy": Metric(sum(values), "1", "higher", len(values), 0.0, 99.0, "sum", examples=tuple(values))}


def leave(mark):
    """A line of this process in the file of marks, where a test wants it."""
    if path := os.environ.get("FAKE_MARKS"):
        with open(path, "a") as marks:
            marks.write(f"{os.getpid()} {mark}\n")


@benchgate.runtime
@dataclass(frozen=True)
class FakeRuntime:
    name: str = "fake"
    needs: dict = field(default_factory=dict)

    @property
    def format(self):
        return f"bytes-{setting('BYTES', 1000)}"

    def missing(self, device):
        return None

    def build(self, model, scheme, out):
        if event(model.name, scheme.name) == "oom-build":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        (out / "scheme").write_text(scheme.name)
        (out / "weights").write_bytes(b"w" * setting("BYTES", 1000))

    def load(self, path, model, device, threads):
        return FakeSession(model.name, (path / "scheme").read_text())


benchgate.runtime(FakeRuntime("absent", {"surely_absent": "absent-extra"}))
for name in ("fake", "absent"):
    benchgate.support.session(name, "faking", "suite:FakeSession")
    benchgate.support.compressor(name, "float", dtypes=("float32", "bfloat16"))
