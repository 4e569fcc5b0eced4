"""The page's recommendation is that of `benchgate recommend`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html import escape

import pytest

from benchgate import registration
from benchgate.commands import main
from benchgate.core import Metric
from benchgate.report.page_advice import advice
from benchgate.report.recommend_words import limits_of
from tests.report.pages import a_cell, saved

registration.load_builtin()


def timed(scheme, seconds, top1, **fields):
    speed = 100 / seconds
    ends = Metric(speed, "tokens/s", "higher", 50, speed * 0.99, speed * 1.01)
    score = Metric(top1, "1", "higher", 1000, top1 - 0.001, top1 + 0.001)
    record = a_cell(scheme, **fields)
    return replace(record, metrics={**record.metrics, "prefill_tokens_per_s": ends, "top1": score})


def test_it_says_what_the_command_says(tmp_path, capsys):
    records = [timed("fp32", 0.2, 0.5), timed("int8", 0.1, 0.5), timed("int4", 0.05, 0.2)]
    (one,), reasons = advice(records)
    path = saved(tmp_path / "a.json", records)
    main.main(["recommend", str(path), "--max-loss", "1%"])
    said = capsys.readouterr().out
    assert reasons == []
    assert one.lines
    assert said.startswith("\n".join((*one.lines, *one.undecided)))
    assert [row[0] for row in one.grid.rows] == [f"{scheme} torch" for scheme in told_cells(said)]


def told_cells(said):
    rows = [line.split()[0] for line in said.splitlines() if " torch  " in line]
    assert len(rows) == 3
    return rows


@pytest.mark.parametrize(("open_cells", "folded"), [(3, ""), (4, "4 cells might be better and cannot be told")])
def test_many_that_cannot_be_told_do_not_hide_the_answer(tmp_path, open_cells, folded):
    few = Metric(0.5, "1", "higher", 10, 0.1, 0.9)
    unsure = [timed(f"int{n}", 0.05, 0.5) for n in range(2, 2 + open_cells)]
    unsure = [replace(record, metrics={**record.metrics, "top1": few}) for record in unsure]
    records = [timed("fp32", 0.2, 0.5), *unsure]
    (one,), _ = advice(records)
    assert one.lines[1] == "ship: fp32 torch"
    assert (len(one.undecided), one.folded) == (open_cells, folded)
    page = written(tmp_path, records)
    assert all(escape(line) in page for line in one.undecided)
    assert (f"<summary>{folded}</summary>" in page) is bool(folded)


def written(tmp_path, records):
    path = tmp_path / "page.html"
    main.main(["report", str(saved(tmp_path / "a.json", records)), "-o", str(path)])
    return path.read_text(encoding="utf-8")


def test_a_model_of_which_nothing_was_measured_says_so():
    skipped = [replace(a_cell(s), metrics={}, outcome="skipped", reason="no network") for s in ("fp32", "int8")]
    found, reasons = advice(skipped)
    assert found == []
    assert "lm: nothing was measured; 2 cells: skipped: no network; `benchgate report FILE`" in reasons[0]


@pytest.mark.parametrize("count", [0, 1])
def test_a_choice_of_one_is_none(count):
    assert advice([timed("fp32", 0.2, 0.5)][:count]) == ([], [])


def test_a_model_without_accuracy_is_asked_for_the_fastest():
    fast, slow = (timed(scheme, s, 0.5) for scheme, s in (("int8", 0.1), ("fp32", 0.2)))
    without = [replace(r, metrics={k: m for k, m in r.metrics.items() if k != "top1"}) for r in (slow, fast)]
    (one,), _ = advice(without)
    assert one.lines[:2] == (
        "lm cpu: best prefill tok/s (higher is better) of what keeps: nothing",
        "ship: int8 torch",
    )


def test_a_model_that_cannot_be_asked_says_why_and_the_others_are_answered():
    sizes = [
        timed(scheme, 0.1 * n, 0.5, test=f"t{n}", params={"batch": n}) for scheme in ("fp32", "int8") for n in (2, 4)
    ]
    others = [timed(scheme, 0.1, 0.5, model="other") for scheme in ("fp32", "int8")]
    found, reasons = advice([*sizes, *others])
    assert [one.grid.title for one in found] == ["other cpu: best prefill tok/s"]
    assert "several parameters" in reasons[0]


def test_another_loss_changes_the_answer():
    records = [timed("fp32", 0.2, 0.5), timed("int8", 0.1, 0.5), timed("int4", 0.05, 0.4)]
    ships = [advice(records, limits_of([], [], [loss]))[0][0].lines[1] for loss in ("1%", "30%")]
    assert ships == ["ship: int8 torch", "ship: int4 torch"]


def test_a_loss_that_was_asked_for_is_not_left_out_in_silence():
    """Without accuracy there is no answer under it; only where nobody asked is the fastest of all one."""
    without = [replace(r, metrics={"latency_median_s": r.metrics["latency_median_s"]}) for r in
               (timed("fp32", 0.2, 0.5), timed("int8", 0.1, 0.5))]  # fmt: skip
    found, reasons = advice(without, limits_of([], [], ["1%"]))
    assert found == []
    assert "accuracy" in reasons[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--max-loss", "x", "-o", "p.html"], "--max-loss: 'x' is no bound"),
     (["--max-loss", "1%"], "--max-loss 1% is for a page; write it with -o report.html")],
)  # fmt: skip
def test_a_loss_that_is_none_or_has_no_page_is_refused(tmp_path, capsys, words, said):
    path = saved(tmp_path / "a.json", [timed("fp32", 0.2, 0.5)])
    assert main.main(["report", str(path), *words]) == 2
    assert said in capsys.readouterr().err


def test_the_command_knows_the_tasks_and_the_page_says_what_to_ship(tmp_path):
    pytest.importorskip("plotly", reason="plotly is not installed; pip install 'benchgate[report]'")
    path = saved(tmp_path / "a.json", [timed("fp32", 0.2, 0.5), timed("int8", 0.1, 0.5)])
    code = "import sys; from benchgate.commands.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "report", str(path), "-o", "page.html", "--max-loss", "top1=2%"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "best prefill tok/s (higher is better)" in page
    assert "<strong>ship: int8 torch</strong>" in page
    assert "<code>benchgate recommend FILE --max-loss top1=2%</code>" in page
