"""benchgate: performance tests for machine-learning models, on pytest-benchmark.

The names a test suite needs: the registration decorators and the words of `benchgate.core`. Those of LAZY are imported
when they are first asked for, so that `import benchgate` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from benchgate.core import (
    BenchgateError,
    Cell,
    DataError,
    InvalidOutput,
    Lapped,
    Metric,
    Scheme,
    Unavailable,
    Work,
    add_operation,
    models,
    runtimes,
    schemes,
    support,
    tasks,
    transforms,
)
from benchgate.core.metrics import Row, add_row, metric

if TYPE_CHECKING:
    from benchgate.machine.devices import Device as Device
    from benchgate.machine.devices import devices
    from benchgate.measuring.meters import Reading as Reading
    from benchgate.measuring.meters import Subject as Subject
    from benchgate.measuring.meters import meters
    from benchgate.runtimes.simple import PlainSession as PlainSession
    from benchgate.runtimes.simple import SimpleRuntime as SimpleRuntime
    from benchgate.tasks.causal_lm.models import GGUFFile as GGUFFile
    from benchgate.tasks.causal_lm.models import HubModel as HubModel
    from benchgate.tasks.file_models import OnnxFile as OnnxFile
    from benchgate.tasks.file_models import TFLiteFile as TFLiteFile

    device = devices.add
    meter = meters.add

__version__ = "0.1.0"

model = models.add
scheme = schemes.add
runtime = runtimes.add
task = tasks.add
transform = transforms.add
metric_row = add_row

# Name -> where it is: "module:name", of a registry's method "module:name.method".
LAZY = {
    "Device": "benchgate.machine.devices:Device",
    "GGUFFile": "benchgate.tasks.causal_lm.models:GGUFFile",
    "HubModel": "benchgate.tasks.causal_lm.models:HubModel",
    "OnnxFile": "benchgate.tasks.file_models:OnnxFile",
    "PlainSession": "benchgate.runtimes.simple:PlainSession",
    "Reading": "benchgate.measuring.meters:Reading",
    "SimpleRuntime": "benchgate.runtimes.simple:SimpleRuntime",
    "Subject": "benchgate.measuring.meters:Subject",
    "TFLiteFile": "benchgate.tasks.file_models:TFLiteFile",
    "device": "benchgate.machine.devices:devices.add",
    "meter": "benchgate.measuring.meters:meters.add",
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = LAZY[name].partition(":")
    return attrgetter(attribute)(import_module(module))


def __dir__() -> list[str]:
    return sorted({*globals(), *LAZY})


__all__ = [
    "BenchgateError",
    "Cell",
    "DataError",
    "Device",
    "GGUFFile",
    "HubModel",
    "InvalidOutput",
    "Lapped",
    "Metric",
    "OnnxFile",
    "PlainSession",
    "Reading",
    "Row",
    "Scheme",
    "SimpleRuntime",
    "Subject",
    "TFLiteFile",
    "Unavailable",
    "Work",
    "add_operation",
    "device",
    "meter",
    "metric",
    "metric_row",
    "model",
    "models",
    "runtime",
    "runtimes",
    "scheme",
    "schemes",
    "support",
    "task",
    "tasks",
    "transform",
    "transforms",
]
