"""Query reformulation over HTTP: what the API costs beside the model, latency by offered load, no answer mixed up.

The server is `benchgate serve` in a process of its own, the load generator `benchgate load` in another.
"""

import asyncio
import json
import subprocess
import sys

import pytest

from benchgate.core import Cell, Work
from benchgate.measuring.in_turn import Limits
from benchgate.serving.process import server_process
from benchgate.serving.reformulate import Reformulator, checked
from benchgate.tasks.text2text.rewrites import load

PAIRS = 300
RATES, CLIENTS, SECONDS = "25,50,100,200", "1,16", "5"
QUESTIONS = 10_000


@pytest.mark.cells(
    model="rewrite-t5", scheme=["fp32", "int8-dynamic"], runtime=["torch", "torchscript", "onnxruntime"], device="cpu"
)
@pytest.mark.benchmark(max_time=3)
def test_requests(cell, benchmark, tmp_path):
    """The median request takes less than 3 ms longer than the same query in this process; under load nothing fails."""
    with server_process(cell.cell) as server:
        result = cell.measure("request", inputs=load("dev"), meters=(), threads=1, server=server)
        cost = _cost_of_the_api(cell, server)
        levels = _levels(server, tmp_path / "load.json")
    benchmark.extra_info["api"] = {"cost": cost, "load": levels}
    assert result["overhead_s"] > 0
    assert cost["p50_difference_s"] < 0.003
    assert all(level["failed"] == 0 for level in levels)


@pytest.mark.parametrize("requests_in_flight", [QUESTIONS])
def test_no_answer_is_lost_or_mixed_up(benchmark, requests_in_flight):
    """So many requests at once, each with a query of its own, on as many connections."""
    pytest.importorskip("aiohttp", reason="needs the extra serve")
    echo = Cell("echo", "fp32", "echo", "cpu")
    options = ("--queue", str(requests_in_flight), "--max-connections", "20000", "--timeout", "120")
    queries = [f"query number {number}" for number in range(requests_in_flight)]
    with server_process(echo, options) as server:
        answers = benchmark.pedantic(lambda: asyncio.run(_ask_all(server.url, queries)), rounds=1)
    assert answers == queries


def _cost_of_the_api(cell, server):
    """Each query through the API and in this process, in turn, so that the machine's moods hit both."""
    queries = load("dev").sample(PAIRS)
    reformulator = Reformulator(cell.model, cell.session)
    here = Work(reformulator, turns=[checked(one.context, one.query) for one in queries])
    found = cell.against(here, "request", inputs=queries, threads=1, server=server, limits=Limits(pairs=PAIRS))
    return {
        "queries": found.ratio.n,
        "api_p50_s": found.ours_s,
        "in_process_p50_s": found.theirs_s,
        "p50_difference_s": found.ours_s - found.theirs_s,
        "paired_median_s": found.difference_s,
    }


def _levels(server, file):
    """The figures of `benchgate load` by offered rate and by clients."""
    command = [sys.executable, "-m", "benchgate.commands.main", "load", server.url, "--json", str(file)]
    command += ["--rate", RATES, "--clients", CLIENTS, "--duration", SECONDS]
    subprocess.run(command, check=True)
    return json.loads(file.read_text())["levels"]


async def _ask_all(url, queries):
    # Here, so that without it the cells of this file are collected all the same.
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def ask(query):
            async with session.post(f"{url}/v1/reformulate", json={"query": query}) as response:
                return (await response.json())["reformulation"]

        return await asyncio.gather(*map(ask, queries))
