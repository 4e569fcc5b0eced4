"""The shape of a record in a results file, checked by pydantic: the one edge between foreign JSON and our code.

Whatever is not written here is passed over (newer fields) or free (what explains a figure and nothing reads).
Imported only where a file is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Number = Annotated[float, Field(allow_inf_nan=False)]
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Better = Literal["lower", "higher"]
# What a message shows of a value: one line, whatever it is.
SHOWN = 40


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class Axes(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    model: str
    scheme: str
    runtime: str
    device: str


class Figure(_Shape):
    value: Number
    unit: str
    better: Better
    n: Annotated[int, Field(ge=0, lt=2**63)] = 1
    low: Number | None = None
    high: Number | None = None
    method: str = ""
    examples: str = ""
    resamples: str = ""


class RowShape(_Shape):
    name: str
    unit: str
    better: Better
    group: Annotated[str, Field(min_length=1)]
    title: str
    tolerance: Tolerance | None = None
    absolute: bool = False
    slack: Tolerance = 0.0
    signed: bool = False
    noise: Tolerance = 0.0
    suspect: bool = False


class Fidelity(_Shape):
    reference: str
    data: dict[str, Any] | None = None
    metrics: list[str] = []


class Floor(_Shape):
    answer: str
    text: str


class WarmUp(_Shape):
    steady: bool | None = None


class Timeline(_Shape):
    seconds: list[Number]
    parts: dict[str, list[Number]]


class Details(_Shape):
    """The explanations that reports read."""

    threads: int | None = None
    timer: str | None = None
    data: dict[str, Any] | None = None
    fidelity: Fidelity | None = None
    floors: list[Floor] = []
    warm_up: WarmUp = WarmUp()
    laps: dict[str, list[Number]] = {}
    memory_timeline: Timeline | None = None


class Block(_Shape):
    schema_: Annotated[int, Field(alias="schema")]
    key: str
    cell: Axes
    operation: str
    params: dict[str, Any] = {}
    metrics: dict[str, Figure]
    missing: dict[str, str] = {}
    outcome: str = "running"
    reason: str = ""
    version: str = ""
    machine: dict[str, Any] = {}
    packages: dict[str, str | None] = {}
    kernel: dict[str, Any] = {}
    details: Details = Details()
    rows: dict[str, RowShape] = {}


def fault(block: dict[str, Any]) -> str | None:
    """The first thing that makes `block` no record, as `metrics.top1.value: Input should be ..., got ...`; or None."""
    try:
        Block.model_validate(block)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "record"
        if first["type"] == "missing":
            return f"{place}: missing"
        shown = repr(first["input"])
        return f"{place}: {first['msg']}, got {shown if len(shown) <= SHOWN else shown[:SHOWN] + '...'}"
    return None
