"""How long idle threads of a pool spin before they sleep: settings of the pools that read the environment.

Spinning threads are a little faster alone and several times slower beside a busy neighbour, whom they take the CPU from
while they wait for each other. Values are for libgomp (GOMP_SPINCOUNT, iterations), libomp and Intel's (KMP_BLOCKTIME,
ms) and every OpenMP (OMP_WAIT_POLICY). What the user set is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from benchgate.core import UnknownName, unknown_name

DEFAULT = "short"
# The setting's own name, for pools that read no variable of their own: their runtimes ask `allowed`.
NAME = "BENCHGATE_SPIN"
# name -> environment of the process that has the threads
SETTINGS: Mapping[str, Mapping[str, str]] = {
    # The pools' own: libgomp spins for some 300,000 iterations, libomp for 200 ms.
    "library": {},
    "short": {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"},
    "none": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"},
}
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def environment(name: str) -> dict[str, str]:
    """Variables to start a process with; those that the user set keep their value. Raises UnknownName."""
    if name not in SETTINGS:
        raise UnknownName(unknown_name("--cell-spin", name, list(SETTINGS)))
    if any(variable in os.environ for variable in VARIABLES):
        return {NAME: name}
    return {NAME: name, **SETTINGS[name]}


def allowed() -> bool:
    """True where idle threads of a pool may spin as long as its library wants."""
    return os.environ.get(NAME, "library") == "library"


def in_force() -> dict[str, str]:
    """The variables as they are in this process, for the fingerprint; "default" for one that is not set."""
    return {
        "spin": os.environ.get(NAME, "library"),
        **{variable.lower(): os.environ.get(variable, "default") for variable in VARIABLES},
    }
