"""numpy for the modules that every run imports, also where it is not installed: `from benchgate.core.arrays import np`.

Who measures plain Python, or a runtime that brings no numpy, need not have it: 73 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchgate.core.errors import Unavailable

__all__ = ["np"]


class Absent:
    """A stand-in for numpy where it is not installed: whatever is asked of it raises Unavailable."""

    def __getattr__(self, name: str) -> object:
        # What Python and tools ask every object for must be answered as by any object.
        if name.startswith("__"):
            raise AttributeError(name)
        raise Unavailable(f"numpy is not installed, and {name} of it is needed; pip install 'benchgate[gate]'")


if TYPE_CHECKING:
    import numpy as np
else:
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            # It is there and broken, which is not to be called absent.
            raise
        np = Absent()
