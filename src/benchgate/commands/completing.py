"""Completion in the shell by argcomplete, where it is installed: verbs, options, files, and the names of this folder.

`eval "$(register-python-argcomplete benchgate)"` in the shell's start file switches it on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchgate.core import BenchgateError, models, runtimes, schemes

# Set by the shell while it completes a line.
ASKED, LINE, POINT = "_ARGCOMPLETE", "COMP_LINE", "COMP_POINT"


def _metrics() -> Iterable[str]:
    from benchgate.core.metrics import TABLE
    from benchgate.report.recommend_words import SHORT

    return [*SHORT, *TABLE]


def _devices() -> Iterable[str]:
    from benchgate.machine.devices import devices

    return devices


# Placeholder in a verb's help -> the names that may stand there.
NAMES: Mapping[str, Callable[[], Iterable[str]]] = {
    "MODEL": lambda: models,
    "CELL": lambda: models,
    "SCHEME": lambda: schemes,
    "RUNTIME": lambda: runtimes,
    "DEVICE": _devices,
    "METRIC": _metrics,
    "METRIC=VALUE": lambda: (f"{name}=" for name in _metrics()),
}


def words(given: Sequence[str]) -> list[str]:
    """Return the words of the line that the shell completes, or else those that were `given`."""
    if ASKED not in os.environ:
        return list(given)
    line = os.environ.get(LINE, "")
    return line[: int(os.environ.get(POINT) or len(line))].split()[1:]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process, where it asks."""
    if ASKED not in os.environ:
        return
    import argcomplete

    argcomplete.autocomplete(parser)


def name_values(verb: argparse.ArgumentParser) -> None:
    """Give each argument whose placeholder stands for names the function that lists them."""
    if ASKED not in os.environ:
        return
    for action in verb._actions:
        if (listed := NAMES.get(str(action.metavar))) is not None:
            action.completer = _completer(listed)  # type: ignore[attr-defined]


def _completer(listed: Callable[[], Iterable[str]]) -> Callable[..., list[str]]:
    def names(**_: object) -> list[str]:
        from benchgate import registration
        from benchgate.storage.project import working_folder

        try:
            registration.load_project(working_folder())
        except BenchgateError:
            # A project that cannot be loaded says so when a verb runs; here a line is being typed.
            return []
        return sorted(listed())

    return names
