"""docs/examples: each is copied, and the commands of its README are typed with benchgate installed from its wheel."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
# Nothing is asked of the times: no block is measured again for a busy machine, and times are not what fails.
OPTIONS = ("--benchmark-max-time=0.02", "--cell-patience=0", "-p", "no:cacheprovider", "-p", "no:randomly")


@dataclass(frozen=True)
class Example:
    """What it imports beside benchgate, what makes it worse (file, old, new), and the metric that then fails."""

    needs: tuple[str, ...]
    worse: tuple[str, str, str]
    fails: str


TABLE = {
    "torch_model": Example(("torch",), ("train.py", "range(200)", "range(3)"), "accuracy"),
    "language_model": Example(
        ("torch", "torchao", "transformers"),
        ("make_tiny.py", "num_key_value_heads=2,", "num_key_value_heads=2, initializer_range=0.5,"),
        "perplexity",
    ),
    "onnx_file": Example(("onnx", "onnxruntime"), ("make_onnx.py", "[0.5, -0.5]", "[2.0, -2.0]"), "accuracy"),
    "tflite_file": Example(("ai_edge_litert",), ("make_tflite.py", "[1.0, 0.5]", "[1.0, 0.0]"), "accuracy"),
    "scikit_learn": Example(("sklearn", "skops"), ("train.py", "SEEN = 1000", "SEEN = 60"), "accuracy"),
    "own_task": Example((), ("benchmarks/test_search.py", "BITS = 8", "BITS = 2"), "recall_at_10"),
    "own_meter": Example(
        (), ("benchmarks/test_start.py", '"json, decimal"', '"json, decimal, http.server"'), "modules"
    ),
    "monorepo": Example((), ("spam/benchmarks/test_spam.py", "KEPT = 1.0", "KEPT = 0.25"), "accuracy"),
}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS", "PIP_CONSTRAINT")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    environment["BENCHGATE_CACHE"] = str(folder / ".cache")
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a fresh environment: benchgate from its wheel, the rest from the environment of the tests."""
    for name in ("hatchling", "pip"):
        pytest.importorskip(name, reason=f"{name} is not installed; pip install {name}")
    folder = tmp_path_factory.mktemp("fresh")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    steps = (
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)],
        [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")],
    )
    for step in steps:
        done = run(step, folder)
        assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    made = folder / "venv" / "bin" / "python"
    done = run([*pip, "--python", str(made), "install", "--no-deps", str(wheel)], folder)
    assert done.returncode == 0, done.stderr
    site = Path(run([str(made), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).stdout.strip())
    # After the wheel's own files on the path, so that it is the wheel which is imported.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    found = run([str(made), "-c", "import benchgate; print(benchgate.__file__)"], folder).stdout
    assert Path(found.strip()).is_relative_to(site)
    return str(made)


def commands(name: str) -> list[list[str]]:
    """The words of each command of the README's first block, without those of pip."""
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```console\n(.*?)```", text, re.DOTALL)
    assert block is not None
    lines = [shlex.split(line.removeprefix("$ "), comments=True) for line in block[1].splitlines()]
    return [words for words in lines if words[0] != "pip"]


def typed(python: str, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program, *rest = words
    assert program in ("python", "pytest")
    return run([python, *rest] if program == "python" else [python, "-m", "pytest", *rest, *OPTIONS], folder)


def test_each_folder_is_in_the_table():
    assert set(TABLE) == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}


@pytest.mark.parametrize("name", TABLE)
def test_no_example_is_long(name):
    files = [*(EXAMPLES / name).rglob("*.py")]
    assert files
    assert max(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= 60


@pytest.mark.parametrize("name", TABLE)
def test_its_commands_end_in_a_gated_run_and_what_is_worse_fails(name, python, tmp_path):
    example = TABLE[name]
    for module in example.needs:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; the example's README says how")
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    lines = commands(name)
    for words in lines:
        done = typed(python, words, folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "--benchmark-compare" in lines[-1]
    assert re.search(r"^gate: .*\d unchanged", done.stdout, re.MULTILINE), done.stdout
    assert "regressed" not in done.stdout

    file, good, bad = example.worse
    text = (folder / file).read_text(encoding="utf-8")
    assert text.count(good) == 1
    (folder / file).write_text(text.replace(good, bad), encoding="utf-8")
    for words in lines:
        if words[0] == "python":
            assert typed(python, words, folder).returncode == 0
    done = typed(python, lines[-1], folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{example.fails} regressed" in done.stdout, done.stdout


def the_readmes() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "@bg.model" in block]
    return block


def test_the_readmes_model_is_15_lines():
    lines = the_readmes().splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith(("import", "@"))]) <= 15


@pytest.mark.backend("torch")
def test_the_readmes_model_is_measured_and_held_against_its_first_run(python, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "test_spam.py").write_text(the_readmes(), encoding="utf-8")
    for option in ("--benchmark-autosave", "--benchmark-compare"):
        done = typed(python, ["pytest", "benchmarks", option, "-k", "not compile"], tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert re.search(r"^gate: .*\d unchanged", done.stdout, re.MULTILINE), done.stdout
    assert "in no file" not in done.stdout
    assert "benchgate: built" not in done.stdout
