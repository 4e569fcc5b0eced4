"""The words of benchgate: everything else is written in them.

Nothing here imports an ML library, so `import benchgate` stays cheap and the logic can be tested with fakes.
"""

from benchgate.core import support
from benchgate.core.durations import parse_seconds
from benchgate.core.errors import (
    BenchgateError,
    CannotBeSent,
    DataError,
    DuplicateName,
    InvalidOutput,
    TooLarge,
    Unavailable,
    UnknownName,
    unknown_name,
)
from benchgate.core.operations import (
    HasInputs,
    Operation,
    add_operation,
    axes,
    default_inputs,
    filling_inputs,
    operations,
)
from benchgate.core.protocols import Model, Runtime, Session, Task, Transform
from benchgate.core.registry import Registry, models, runtimes, schemes, tasks, transforms
from benchgate.core.support import all_needs, task_of
from benchgate.core.words import LOAD_WAYS, MAX_EXAMPLES, SERIES, Better, Cell, Lapped, Metric, Scheme, Work

__all__ = [
    "LOAD_WAYS",
    "MAX_EXAMPLES",
    "SERIES",
    "BenchgateError",
    "Better",
    "CannotBeSent",
    "Cell",
    "DataError",
    "DuplicateName",
    "HasInputs",
    "InvalidOutput",
    "Lapped",
    "Metric",
    "Model",
    "Operation",
    "Registry",
    "Runtime",
    "Scheme",
    "Session",
    "Task",
    "TooLarge",
    "Transform",
    "Unavailable",
    "UnknownName",
    "Work",
    "add_operation",
    "all_needs",
    "axes",
    "default_inputs",
    "filling_inputs",
    "models",
    "operations",
    "parse_seconds",
    "runtimes",
    "schemes",
    "support",
    "task_of",
    "tasks",
    "transforms",
    "unknown_name",
]
