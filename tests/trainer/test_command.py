"""`benchgate train`: what it prints and leaves, and how it goes on after a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchgate.core import BenchgateError
from benchgate.trainer.train import Changes, train
from tests.trainer.tiny import LSTM, T5, partials

pytestmark = pytest.mark.backend("torch")
ROOT = Path(__file__).parents[2]

SUITE = """
import sys
sys.path.insert(0, {root!r})
import benchgate
from tests.trainer.tiny import LSTM
benchgate.model(LSTM)
"""


# A run in the background ignores SIGINT, and so would what it starts.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from benchgate.commands.main import main
sys.exit(main())
"""


@pytest.fixture
def command(tmp_path):
    """Starts `benchgate train ...` in a folder whose conftest registers the tiny model."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["suite"]\n')
    (tmp_path / "suite.py").write_text(SUITE.format(root=str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, "train", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=lambda sent: sent.name)
def test_the_command_goes_on_after_a_signal(command, benchgate_cache, tmp_path, sent):
    process = command("tiny-lstm", "--steps", "100000")
    while not partials(benchgate_cache):
        assert process.poll() is None, process.communicate()[1]
    process.send_signal(sent)
    said = process.communicate(timeout=60)[1]
    assert "Traceback" not in said
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted; what was finished is kept" in said
    process = command("tiny-lstm", "--steps", "100000")
    assert process.stderr is not None
    line = next(line for line in process.stderr if "step" in line)
    process.kill()
    process.communicate()
    found = re.fullmatch(r"tiny-lstm: going on after step (\d+)\n", line)
    assert found, line
    assert int(found[1]) % 50 == 0


def test_the_command_prints_the_table_and_draws_the_curve(command, tmp_path):
    out, said = command("tiny-lstm", "--out", "curve").communicate(timeout=120)
    assert "steps/s" in out, said
    assert "tiny-lstm" in out
    assert "dev exact match" in out
    assert "step 100/130" in said
    lines = (tmp_path / "curve" / "loss.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["step", "50", "100", "130"]
    assert (tmp_path / "curve" / "loss.svg").read_text().startswith("<?xml")


def test_a_sweep_measures_each_batch_size_apart(command):
    out, said = command("tiny-lstm", "--sweep", "2,16", "--steps", "9", "--device", "cpu", "--json").communicate(
        timeout=200
    )
    rows = json.loads(out)
    assert [row["batch"] for row in rows] == [2, 16], said
    for row in rows:
        assert (row["status"], row["timed_steps"], row["device"]) == ("ok", 9, "cpu")
        assert row["steps_per_s"] > 0
        assert row["peak_bytes"] < row["memory_bytes"]
        batches = -(-120 // row["batch"])
        assert row["epoch_s"] * row["steps_per_s"] == pytest.approx(batches)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny-lst"], "did you mean 'tiny-lstm' or"),
        (["tiny-lstm", "--device", "warp"], "unknown device 'warp'; known: cpu, cuda, mps"),
        (["tiny-lstm", "--batch", "0"], "batch 0 must be above 0"),
        (["tiny-lstm", "--sweep", "16,x"], "--sweep 16,x: whole numbers above 0"),
        (["tiny-lstm", "--steps", "1", "--epochs", "1"], "not allowed with argument"),
        (["tiny-lstm", "--sweep", "16", "--steps", "0"], "--steps 0 must be above 0"),
        (["tiny-lstm", "--teacher", "tiny-lst"], "did you mean 'tiny-lstm' or"),
        (["tiny-lstm", "--teacher", "tiny-lstm"], "tiny-lstm cannot be its own teacher"),
        (["tiny-lstm", "--teacher", "tiny-t5"], "tiny-t5 is not trained; benchgate train tiny-t5"),
        (["tiny-lstm", "--teacher", "tiny-t5", "--temperature", "-1"], "--temperature -1 must be above 0"),
        (["tiny-lstm", "--teacher", "tiny-t5", "--sweep", "8"], "--sweep measures training without a teacher"),
        (["tiny-lstm", "--teacher", "tiny-t5", "--distill", "sequence", "--soft-weight", "1"], "is for soft targets"),
        (["tiny-lstm", "--distill", "soft"], "--distill is for learning from another model; name it: --teacher MODEL"),
        (["tiny-lstm", "--temperature", "2"], "--temperature is for learning from another model"),
        (["tiny-lstm", "--lora", "4"], "--lora is for models that are fine-tuned; leave it out"),
        (["tiny-lstm", "--minutes", "-1"], "--minutes -1 must be above 0"),
        (["tiny-lstm", "--minutes", "1", "--steps", "5"], "not allowed with argument"),
        (["tiny-lstm", "--base", "tiny-t5"], "tiny-lstm: --base MODEL and --data FILE belong together"),
        (["mine", "--data", "x.jsonl"], "mine: --base MODEL and --data FILE belong together"),
        (["tiny-lstm", "--base", "tiny-t5", "--data", "x.jsonl"], "tiny-lstm is registered, with data of its own"),
        (["a/b", "--base", "tiny-t5", "--data", "x.jsonl"], "a/b names a place; choose a name for the new model"),
        (["mine", "--base", "tiny-t55", "--data", "x.jsonl"], "did you mean 'tiny-t5' or"),
        (["mine", "--base", "tiny-t5", "--data", "no.jsonl"], "no.jsonl"),
        (["tiny-lstm", "--precision", "fp61"], "invalid choice"),
    ],
)
def test_what_cannot_be_trained_is_one_message(arguments, said, capsys, monkeypatch):
    from benchgate import models
    from benchgate.commands import main as cli

    monkeypatch.setattr("benchgate.commands.suite.load", lambda names, parts: None)
    with models.replaced(LSTM, T5):
        try:
            code = cli.main(["train", *arguments])
        except SystemExit as left:
            code = left.code
    assert code == 2
    assert said in capsys.readouterr().err


def test_training_without_its_packages_says_what_to_install(monkeypatch):
    from benchgate.trainer import models as module

    monkeypatch.setattr(module, "NEEDS", {"no_such_package": "train"})
    with pytest.raises(BenchgateError, match=r"no_such_package is not installed; pip install 'benchgate\[train\]'"):
        train(LSTM, Changes(), "cpu")
