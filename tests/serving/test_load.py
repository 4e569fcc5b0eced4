"""The load generator: arrivals, what it counts, and that a server that stalls cannot hide it."""

from __future__ import annotations

import io
import json
import statistics
import threading
import time
from collections import Counter

import pytest
from rich.console import Console

from benchgate.commands import main as cli
from benchgate.core import BenchgateError, DataError
from benchgate.serving.load import WARM_UP, Level, Tally, arrivals, measure
from benchgate.serving.load_report import figures, load_table, read_bodies
from tests.serving.fakes import EchoSession
from tests.serving.live import live

TOKEN = "a-token-of-enough-length"


def test_arrivals_are_a_poisson_process_and_the_same_each_time():
    times = arrivals(100, 50)
    gaps = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert times == sorted(times) == arrivals(100, 50)
    assert times[-1] < 50
    # 5,000 exponential gaps: mean and deviation are equal, each within five standard errors.
    assert statistics.fmean(gaps) == pytest.approx(0.01, rel=0.07)
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.10)


def test_each_level_is_counted():
    session = EchoSession()
    with live(session) as server:
        results = measure(server.url, [Level("rate", 200), Level("clients", 4)], 0.3, read_bodies(None), None)
    assert results[0].sent == len(arrivals(200, 0.3))
    for tally in results:
        assert tally.answered == tally.sent == len(tally.latencies) == len(tally.lags) > 0
        assert tally.shed == tally.failed == 0
        assert all(latency > 0 for latency in tally.latencies)


def test_a_stall_of_the_server_counts_for_all_that_came_meanwhile():
    """One request waits half a second, and so do those behind it: with coordinated omission it would be one of many."""
    session = EchoSession()
    with live(session, max_batch=1000, queue=1000) as server:

        def stall() -> None:
            # In the middle of the load, whenever that begins.
            while len(session.batches) < WARM_UP + 10:
                time.sleep(0.005)
            session.gate.clear()
            time.sleep(0.5)
            session.gate.set()

        threading.Thread(target=stall, daemon=True).start()
        (tally,) = measure(server.url, [Level("rate", 100)], 1.0, read_bodies(None), None)
    waited = [latency for latency in tally.latencies if latency > 0.05]
    assert len(waited) > 0.2 * tally.sent


def test_what_the_server_sheds_is_counted_apart_and_has_no_latency():
    with live(EchoSession(seconds=0.05), queue=1, max_batch=1) as server:
        (tally,) = measure(server.url, [Level("clients", 8)], 0.5, read_bodies(None), None)
    assert tally.shed > 0
    assert tally.answered + tally.shed == tally.sent
    assert len(tally.latencies) == tally.answered


def test_a_token_is_sent():
    with live(token=TOKEN) as server:
        (tally,) = measure(server.url, [Level("clients", 1)], 0.1, read_bodies(None), TOKEN)
        assert tally.answered == tally.sent > 0
        with pytest.raises(BenchgateError, match=r"answers 401: .*a valid bearer token is needed"):
            measure(server.url, [Level("clients", 1)], 0.1, read_bodies(None), None)


def test_no_server_at_all(refused):
    with pytest.raises(BenchgateError, match="start one with `benchgate serve CELL`"):
        measure(refused, [Level("rate", 1)], 1, read_bodies(None), None)


def test_failures_of_the_connection_are_failures():
    statuses = {"200": 3, "503": 1, "429": 2, "500": 1, "ServerDisconnectedError": 1}
    tally = Tally(Level("rate", 1), statuses=Counter(statuses))
    assert (tally.sent, tally.answered, tally.shed, tally.failed) == (8, 3, 3, 2)


def test_a_percentile_without_enough_answers_is_absent():
    tally = Tally(Level("clients", 2), latencies=[0.001 * i for i in range(1, 101)], seconds=2.0)
    tally.statuses["200"] = 100
    found = figures(tally)
    assert found["answered_per_s"] == 50
    assert found["latency"] == {"p50_s": 0.05, "p90_s": 0.09, "max_s": 0.1}
    console = Console(width=80, file=io.StringIO())
    console.print(load_table([tally]))
    row = console.file.getvalue().splitlines()[-1]
    assert " ".join(row.split()) == "2 clients 100 50.0 0 0 50.0 - - 100 -"


def test_queries_come_from_a_file_of_conversations(tmp_path):
    file = tmp_path / "dev.jsonl"
    lines = [{"context": ["a"], "query": "b\u2028c", "reformulation": "d", "id": "1"}, {"query": "e"}]
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    assert [json.loads(body) for body in read_bodies(file)] == [
        {"context": ["a"], "query": "b c"},
        {"context": [], "query": "e"},
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"", "no line in it"), (b"{}\n", "line 1: query must be a text"),
     (b'{"query": "a"}\n{\n', "line 2"), (b'{"query": "a"}\n[]\n', "line 2: got list"),
     (b"\xff", "not UTF-8")],
)  # fmt: skip
def test_a_file_that_is_none(tmp_path, content, said):
    file = tmp_path / "queries.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=f"{file}.*{said}"):
        read_bodies(file)


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path, capsys):
    file = tmp_path / "load.json"
    with live() as server:
        code = cli.main(
            ["load", server.url, "--rate", "50", "--clients", "1,2", "--duration", "0.2", "--json", str(file)]
        )
    assert code == 0
    levels = json.loads(file.read_text())["levels"]
    assert [(level["level"], level["value"]) for level in levels] == [("rate", 50), ("clients", 1), ("clients", 2)]
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("50/s", "1 client", "2 clients", "P99"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to send; give --rate 50,100,200 or --clients 1,16"),
        (["--rate", "1", "--duration", "0"], "--duration 0"),
        (["--rate", "1", "--duration", "nan"], "--duration nan"),
        (["--rate", "1", "--duration", "inf"], "--duration inf"),
        (["--rate", "1", "--queries", "/none"], "/none: cannot be read"),
    ],
)
def test_the_command_explains(options, said, capsys):
    assert cli.main(["load", "http://127.0.0.1:9", *options]) == cli.UNUSABLE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("numbers", ["0", "-1", "a", "1,,2", "inf", "nan", "1.5"])
def test_levels_are_numbers_above_zero(numbers, capsys):
    with pytest.raises(SystemExit):
        cli.main(["load", "http://127.0.0.1:9", "--clients", numbers])
    assert "list of numbers above 0" in capsys.readouterr().err
