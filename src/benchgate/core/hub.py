"""The word by which the Hugging Face hub knows a task."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

# For a task that states none: the hub wants one.
OTHER = "other"


@runtime_checkable
class OnHub(Protocol):
    """A task that states its pipeline tag on the hub, for the metadata of model cards::

    pipeline_tag = "object-detection"
    """

    pipeline_tag: str
