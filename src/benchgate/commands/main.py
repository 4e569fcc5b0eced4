"""The `benchgate` command: imports the verb's module, and turns every error into a message and an exit code."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from benchgate import __version__
from benchgate.commands.exits import INTERRUPTED, UNUSABLE
from benchgate.core import BenchgateError
from benchgate.report.escape import lines

# verb -> what it does. `benchgate.commands.VERB` has its `add_arguments(parser)` and `run(arguments, console)`, and is
# imported when it is called.
VERBS = {
    "fetch": "get the files that the benchmarks of this folder need, into the cache",
    "list": "show the models, schemes, runtimes, tasks, metrics or cells that there are for this folder",
    "doctor": "show machine, devices, runtimes, caches, and what makes this a noisy machine",
    "calibrate": "measure this machine's noise side by side, and which slowdowns the gate finds in it",
    "gate": "compare two stored results; exit 0 good, 1 worse, 2 cannot say",
    "answers": "show what a gate side by side answered, or turn it into Markdown or JUnit",
    "history": "show each metric over stored runs, and the commits among which it changed",
    "bisect": "find the commit that made a cell worse, by git bisect with the gate side by side",
    "baseline": "keep good runs by name, and hold each run against one of them",
    "recommend": "say which cell to ship under limits, why, and what would change the answer",
    "report": "print the tables of stored results",
    "evaluate": "score a text-to-text model's answers and time them, query by query",
    "compare": "one table of several stored results, against the fp32 cells",
    "fleet": "plan and run the suite on all kinds of machines of a cluster, and show its state",
    "merge": "make one results file of what several environments or machines measured",
    "plot": "draw size, accuracy, time and throughput by cell, one file a metric",
    "build": "quantize, convert and export a model: its cells' artifacts, into the cache",
    "chat": "reformulate queries as you type them, or one a line from a pipe",
    "serve": "reformulate queries over HTTP",
    "load": "send queries to a server at given rates or from given clients; print latencies",
    "loading": "hold weights mapped from their file against weights read into memory, in time and memory",
    "limits": "find the largest batch, context, ... of a cell that fits a memory and latency budget",
    "cache": "show what was built and why, and make room",
    "train": "train a model of this folder into the cache; an interrupted run goes on",
}
DEBUG = "BENCHGATE_DEBUG"
# Set by the shell while it completes a line.
COMPLETING = "_ARGCOMPLETE"
# Loggers of libraries that speak up when they are imported: of CUDA kernels that a CPU build has not, of types.
CHATTER = ("torchao", "torch.utils._pytree")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Whatever goes wrong is one message on standard error and exit code 2: 1 means worse."""
    given = list(sys.argv[1:] if argv is None else argv)
    if COMPLETING in os.environ:
        from benchgate.commands.completing import words

        given = words()
    debug = "--debug" in given[:1] or bool(os.environ.get(DEBUG))
    try:
        return _run(given)
    except KeyboardInterrupt:
        print("benchgate: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has enough.
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"benchgate: {lines(_told(error))}", file=sys.stderr)
        return UNUSABLE


def _run(given: Sequence[str]) -> int:
    chosen = next((word for word in given if not word.startswith("-")), "")
    module = import_module(f"benchgate.commands.{chosen}") if chosen in VERBS else None
    parser = _parser(chosen, module)
    if COMPLETING in os.environ:
        from benchgate.commands.completing import complete

        complete(parser, chosen)
    arguments = parser.parse_args(given)
    # Without a verb of the table the parser has ended the command.
    assert module is not None
    from benchgate.report.terminal import Terminal

    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.ERROR)
    code: int = module.run(arguments, Terminal())
    return code


def _parser(chosen: str, module: ModuleType | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchgate", description="Performance tests for machine-learning models.")
    parser.add_argument("--version", action="version", version=f"benchgate {__version__}")
    parser.add_argument("--debug", action="store_true", help=f"show the traceback of an error (also {DEBUG}=1)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, text in VERBS.items():
        verb = verbs.add_parser(name, help=text, description=text)
        if name == chosen and module is not None:
            module.add_arguments(verb)
    return parser


def _told(error: Exception) -> str:
    """One line for an error: ours as it is, the system's with its file, any other with how to see more."""
    if isinstance(error, BenchgateError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    said = " ".join(str(error).split())[:500]
    return (
        f"unexpected {type(error).__name__}: {said}; this is a defect, or a broken installation: "
        f"run `benchgate --debug ...` for the traceback"
    )


if __name__ == "__main__":
    sys.exit(main())
