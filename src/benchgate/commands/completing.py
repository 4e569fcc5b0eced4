"""Completion in the shell by argcomplete, where it is installed: verbs, options, files, and the names of this folder.

`eval "$(register-python-argcomplete benchgate)"` in the shell's start file switches it on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping

from benchgate.core import BenchgateError, models, runtimes, schemes

# The line that is completed, and where in it.
LINE, POINT = "COMP_LINE", "COMP_POINT"


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
    "METRIC[=VALUE]": lambda: (f"{name}=" for name in _metrics()),
}


def words() -> list[str]:
    """Return the words of the line that the shell completes, up to where it does."""
    line = os.environ.get(LINE, "")
    return line[: int(os.environ.get(POINT) or len(line))].split()[1:]


def complete(parser: argparse.ArgumentParser, verb: str) -> None:
    """Answer the shell and end the process. The arguments of `verb` whose placeholder stands for names list them."""
    import argcomplete

    verbs = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for action in verbs.choices[verb]._actions if verb in verbs.choices else ():
        if (listed := NAMES.get(str(action.metavar))) is not None:
            action.completer = _completer(listed)
    argcomplete.autocomplete(parser)


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
