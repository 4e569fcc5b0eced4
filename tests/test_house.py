"""The house as design.md has it: who may name whom, who may import whom. Read from the source, nothing is run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "benchgate"
# Folder (or module beside the folders) -> what it may import of the others. `core` is everybody's.
ALLOWED = {
    "core": set(),
    "storage": {"machine", "results"},
    "machine": set(),
    "results": set(),
    "schemes": set(),
    "transforms": set(),
    "tasks": {"storage", "machine", "transforms"},
    "runtimes": {"tasks", "storage", "machine", "schemes"},
    "gate": {"results", "machine", "storage"},
    "testing": {"machine"},
    "registration": {"tasks", "runtimes", "schemes", "transforms", "storage"},
}
# What is further up is not told apart here: it may import everything but what is above it.
UPPER = ("measuring", "report", "executors", "trainer", "serving", "pytest_plugin", "commands")
# file of src/benchgate -> (what it still imports, who has to go). The list can only become shorter.
IMPORTS_STILL = {
    "tasks/detection/__init__.py": ("gate", "floors hold figures against each other: gate"),
    "tasks/detection/floors.py": ("gate", "floors hold figures against each other: gate"),
}
# (file, name of a task or runtime that stands in it) -> what has to go.
NAMES_STILL = {
    ("commands/report.py", "training"): "the name of a report's format: rename it",
    ("schemes.py", "torch"): "nothing: here the reference, fp32 on torch, is stated",
    ("commands/train.py", "training"): "the name of a folder: rename it",
    ("report/training.py", "torch-training"): "the record says whether it was compiled",
    ("report/training.py", "torch-training-compile"): "the record says whether it was compiled",
}
LONGEST_FILE = 300
ML = {"torch", "torchao", "transformers", "onnx", "onnxruntime", "tensorflow", "keras", "numpy", "scipy"}
MAY_USE_NUMBERS = {"numpy", "scipy"}


def modules() -> list[Path]:
    found = sorted(SOURCE.rglob("*.py"))
    assert len(found) > 100
    return found


def short(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room(path: Path) -> str:
    """The folder of src/benchgate that a file is in, or its own name where it is beside the folders."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used(path: Path) -> set[str]:
    ours = (name.split(".") for name in imports(path) if name.startswith("benchgate."))
    here = {p.name.removesuffix(".py") for p in SOURCE.iterdir()}
    return {parts[1] for parts in ours if parts[1] in here} - {room(path), "core"}


@cache
def above(name: str) -> set[str]:
    """The rooms that `name` must not import: those above it, for lower ones all that is not allowed."""
    everything = {room(path) for path in modules()} - {"__init__"}
    if name in UPPER:
        return (
            set(UPPER[UPPER.index("pytest_plugin") :]) - {name} if name not in ("pytest_plugin", "commands") else set()
        )
    return everything - ALLOWED.get(name, everything) - {"core", name}


@pytest.mark.parametrize("path", modules(), ids=short)
def test_imports_point_one_way(path):
    wrong = rooms_used(path) & above(room(path))
    known = {IMPORTS_STILL[short(path)][0]} if short(path) in IMPORTS_STILL else set()
    assert wrong - known == set(), f"{short(path)} must not import {', '.join(sorted(wrong - known))}"
    assert known - wrong == set(), f"{short(path)} is mended: take it out of IMPORTS_STILL"


def names(folder: str, kind: str) -> dict[str, str]:
    """Name of each task or runtime -> the folder that it is defined in: `name` of the classes there, or first texts of
    `runtimes.add(Class("name"))`."""
    found = {}
    for path in sorted((SOURCE / folder).rglob("*.py")):
        added = [n for n in ast.walk(tree(path)) if isinstance(n, ast.Call) and ast.unparse(n.func) == f"{kind}.add"]
        classes = {ast.unparse(n.args[0]).partition("(")[0] for n in added}
        for call in added:
            if isinstance(call.args[0], ast.Call) and call.args[0].args:
                found[ast.literal_eval(call.args[0].args[0])] = path.relative_to(SOURCE / folder).parts[0]
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and node.name in classes:
                for statement in node.body:
                    target = statement.target if isinstance(statement, ast.AnnAssign) else None
                    target = statement.targets[0] if isinstance(statement, ast.Assign) else target
                    if (
                        isinstance(target, ast.Name)
                        and target.id == "name"
                        and isinstance(statement.value, ast.Constant)
                    ):
                        found[statement.value.value] = path.relative_to(SOURCE / folder).parts[0]
    return found


TASKS, RUNTIMES = names("tasks", "tasks"), names("runtimes", "runtimes")


def test_all_tasks_and_runtimes_are_found():
    assert set(TASKS) == {"causal-lm", "text2text", "detection", "training"}
    assert set(RUNTIMES) == {
        "torch", "torch-compile", "torch-generate", "torch-training", "torch-training-compile", "torchscript",
        "onnxruntime", "litert", "litert-keras", "ggml", "ctranslate2", "gptq",
    }  # fmt: skip


def texts(path: Path) -> Iterator[str]:
    """The string constants of a file but docstrings, package names (mappings from import name to extra, needs) and
    annotations."""
    skipped = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        if (isinstance(node, ast.Dict) and _maps_packages(node)) or (
            isinstance(node, ast.FunctionDef) and node.name == "needs"
        ):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.value


def _maps_packages(node: ast.Dict) -> bool:
    """Is it `{"onnxruntime": "onnx"}`: import names to our extras?"""
    extras = {*tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"], ""}
    values = [value.value for value in node.values if isinstance(value, ast.Constant)]
    return bool(values) and len(values) == len(node.values) and set(values) <= extras


def misplaced(path: Path) -> set[str]:
    """Names of tasks and runtimes that a file must not have."""
    place = path.relative_to(SOURCE).parts
    found = {text for text in texts(path) if text in TASKS or text in RUNTIMES}
    if place[0] == "tasks":
        found -= {name for name in found if TASKS.get(name) == place[1]}
    if place[0] == "runtimes":
        found -= {name for name in found if RUNTIMES.get(name) == place[1]}
        # The rows of a runtime name tasks; nothing else there does.
        found -= set(TASKS) if place[-1] == "rows.py" else set()
    return found


@pytest.mark.parametrize("path", modules(), ids=short)
def test_a_task_or_runtime_is_named_in_its_own_folder_only(path):
    wrong = misplaced(path)
    known = {name for file, name in NAMES_STILL if file == short(path)}
    assert wrong - known == set(), f"{short(path)} must not name {', '.join(sorted(wrong - known))}"
    assert known - wrong == set(), f"{short(path)} is mended: take {known - wrong} out of NAMES_STILL"


def test_no_runtime_asks_for_a_task():
    """No `if task == ...` and no `model.task == ...`: what is done for a task is its row."""
    files = [path for path in modules() if room(path) == "runtimes"]
    assert len(files) > 20
    asking = [
        f"{short(path)}:{node.lineno}: {ast.unparse(node)}"
        for path in files
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare) and re.search(r"\btask\b", ast.unparse(node))
    ]
    assert asking == []


@pytest.mark.parametrize("folder", ["core", "gate", "results"])
def test_the_lower_rooms_know_no_ml_library(folder):
    files = sorted((SOURCE / folder).rglob("*.py"))
    assert files
    found = {name.partition(".")[0] for path in files for name in imports(path)} & ML
    assert found <= MAY_USE_NUMBERS


def test_importing_benchgate_imports_no_ml_library():
    code = f"import sys, benchgate, benchgate.core; print(sorted({ML - MAY_USE_NUMBERS!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_docstrings_begin_with_what_comes_back():
    """With a noun or a verb. A new one that begins otherwise is not let in."""
    defined = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = [
        (short(path), ast.get_docstring(node))
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, defined)
    ]
    assert sum(text is not None for _, text in said) > 500
    assert [file for file, text in said if re.match(r"(What|Whether|Which)\b", text or "")] == []


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "fixtures"])
def test_no_file_is_too_long(folder):
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert lengths, f"no Python in {folder}"
    too_long = {path.relative_to(ROOT).as_posix(): lines for path, lines in lengths.items() if lines > LONGEST_FILE}
    assert too_long == {}, "split these by subject"
