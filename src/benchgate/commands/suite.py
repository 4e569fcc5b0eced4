"""The first step of each command that takes a MODEL or a CELL: register all that the project's own pytest would see.

Collecting tests imports them and every plugin of pytest, seconds in some environments: where the conftest and installed
packages have all that was named, only these are imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from benchgate import registration
from benchgate.commands.cells import is_part, names_cell
from benchgate.pytest_plugin.collecting import Suite, collect
from benchgate.report.escape import visible
from benchgate.storage.project import working_folder


def load(names: Iterable[str], parts: Iterable[str | None] = ()) -> None:
    """Register what the project brings, its tests too where a model or cell, or a part of one, is not known without.

    `parts` are schemes, runtimes and devices, None for those that were not named. Raises BenchgateError for a conftest
    that cannot be imported. That a name is still unknown is for the caller to find.
    """
    registration.load_project(working_folder())
    if not all(map(names_cell, names)) or not all(is_part(part) for part in parts if part):
        whole()


def whole(tests: Sequence[str] = ()) -> Suite:
    """Return the suite around the working folder, collected; what of it cannot be is said on standard error."""
    suite = collect(working_folder(), tests)
    for line in suite.failed:
        print(visible(f"benchgate: not collected: {line}"), file=sys.stderr, flush=True)
    return suite
