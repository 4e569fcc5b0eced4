"""Good clients of `benchgate serve` alone and beside attackers: `python benchmarks/abuse.py [--seconds 8]`.

The model answers every query with itself after 25 ms a batch, asleep: what is measured is the server, not a model. Good
clients (16, each waiting for its answer) run in this process, attackers and the server each in one of their own.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[1]
GOOD = 16
ECHO = {"ECHO_SECONDS": "0.025", "ECHO_MAX_SOURCE": "500"}
GET = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def unreadable(url, number):
    """Clients whose queries have more tokens than the model reads, one after the other."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one():
            while True:
                async with session.post(f"{url}/v1/reformulate", json={"query": "x" * 1900}) as response:
                    await response.read()

        await asyncio.gather(*(one() for _ in range(number)))


async def unread(url, number):
    """Clients that ask for the description again and again and never read it; one that is cut is back in a second."""
    port = int(url.rpartition(":")[2])

    async def one():
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
                while True:
                    writer.write(GET * 100)
                    await writer.drain()
            await asyncio.sleep(1)

    await asyncio.gather(*(one() for _ in range(number)))


async def idle(url, number):
    """Connections that say nothing, and come back when they were cut."""
    port = int(url.rpartition(":")[2])

    async def one():
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with contextlib.closing(writer):
                    await reader.read()
            await asyncio.sleep(0.5)

    await asyncio.gather(*(one() for _ in range(number)))


ATTACKS = {"unreadable": unreadable, "unread": unread, "idle": idle}
ROWS = [("none", 0), ("unreadable", 1), ("unreadable", 8), ("unread", 30), ("idle", 1100)]


async def good(url, seconds):
    """(answers a second, P95 in ms, what else was said by status) of the good clients."""
    latencies, others = [], {}
    end = time.perf_counter() + seconds
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def one(name):
            number = 0
            while (start := time.perf_counter()) < end:
                number += 1
                query = f"query {name} {number}"
                try:
                    async with session.post(f"{url}/v1/reformulate", json={"query": query}) as response:
                        said = await response.json()
                        status = str(response.status)
                        assert status != "200" or said["reformulation"] == query.upper()
                except (aiohttp.ClientError, TimeoutError) as error:
                    status = type(error).__name__
                if status == "200":
                    latencies.append(time.perf_counter() - start)
                else:
                    others[status] = others.get(status, 0) + 1
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(one(name) for name in range(GOOD)))
    p95 = 1000 * statistics.quantiles(latencies, n=20)[-1] if len(latencies) > 1 else float("nan")
    return len(latencies) / seconds, p95, others


def measured(kind, number, seconds, log):
    """One row: the server, the attackers and the good clients, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "conftest.py").write_text('pytest_plugins = ["tests.serving.echo_suite"]\n')
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", str(ROOT / "src")), str(ROOT)]))
        environment = {**os.environ, "PYTHONPATH": path, **ECHO, "BENCHGATE_CACHE": f"{folder}/cache"}
        serve = [sys.executable, "-m", "benchgate.commands.main", "serve", "echo-fp32-echoing-cpu", "--port", "0"]
        with subprocess.Popen(serve, cwd=folder, env=environment, stderr=log) as server:
            url = started(log)
            attack = [sys.executable, __file__, "--attack", kind, str(number), url]
            attackers = subprocess.Popen(attack, stderr=subprocess.DEVNULL) if number else None
            try:
                time.sleep(2)
                found = asyncio.run(good(url, seconds))
            finally:
                if attackers is not None:
                    attackers.kill()
                    attackers.wait()
                server.terminate()
            return (*found, server.wait(30))


def started(log):
    for _ in range(600):
        log.seek(0)
        words = log.read().split()
        if "on" in words:
            url = words[words.index("on") + 1]
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return url
        time.sleep(0.1)
    raise SystemExit("the server did not start")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--attack", nargs=3, metavar=("KIND", "N", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attack:
        kind, number, url = arguments.attack
        asyncio.run(ATTACKS[kind](url, int(number)))
    print(f"load average at the start: {os.getloadavg()[0]:.1f}")
    for kind, number in ROWS:
        with tempfile.TemporaryFile("w+") as log:
            rate, p95, others, code = measured(kind, number, arguments.seconds, log)
            size = log.seek(0, os.SEEK_END)
        print(
            f"| {number} {kind} | {rate:.0f} | {p95:.0f} | {json.dumps(others)} | {size / 1000:.1f} kB | {code} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
