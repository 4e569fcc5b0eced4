"""benchgate: performance tests for machine-learning models, on pytest-benchmark.

The names a test suite needs: the registration decorators and the words of `benchgate.core`.
"""

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
from benchgate.core.metrics import Row, add_row

__version__ = "0.1.0"

model = models.add
scheme = schemes.add
runtime = runtimes.add
task = tasks.add
transform = transforms.add
metric_row = add_row

__all__ = [
    "BenchgateError",
    "Cell",
    "DataError",
    "InvalidOutput",
    "Lapped",
    "Metric",
    "Row",
    "Scheme",
    "Unavailable",
    "Work",
    "add_operation",
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
