"""A load generator: open loop at an offered rate (Poisson arrivals), closed loop with so many clients.

In the open loop a latency counts from when its request was to be sent, not from when it was: a server that stalls
delays what comes after, and that delay is its own (no coordinated omission). How late the generator was is kept apart.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

from benchgate.core import BenchgateError

SEED = 5
SHED = frozenset({"429", "503"})
# Longer than any server of ours lets a request live: what is not there by then counts as failed.
PATIENCE_S = 30.0
WARM_UP = 20


@dataclass(frozen=True)
class Level:
    """One step of load: `value` requests a second offered ("rate"), or `value` clients that wait for their answers."""

    kind: Literal["rate", "clients"]
    value: float

    def __str__(self) -> str:
        unit = "/s" if self.kind == "rate" else " client" if self.value == 1 else " clients"
        return f"{self.value:g}{unit}"


@dataclass
class Tally:
    """Outcomes of the requests of one level; seconds. `latencies` are those of answers, `lags` of all requests."""

    level: Level
    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def sent(self) -> int:
        return self.statuses.total()

    @property
    def answered(self) -> int:
        return self.statuses["200"]

    @property
    def shed(self) -> int:
        """Requests that the server refused because it had too many."""
        return sum(self.statuses[status] for status in SHED)

    @property
    def failed(self) -> int:
        return self.sent - self.answered - self.shed


def measure(
    url: str, levels: Sequence[Level], duration_s: float, bodies: Sequence[bytes], token: str | None
) -> list[Tally]:
    """Run the levels one after the other. Raises BenchgateError where nothing answers at `url`."""
    if not 0 < duration_s < math.inf:
        raise BenchgateError(f"--duration {duration_s:g}: more than 0 seconds are needed, and a number")
    if not url.startswith(("http://", "https://")):
        raise BenchgateError(f"{url!r} is no URL; write one like http://127.0.0.1:8000")
    return asyncio.run(_measure(url.rstrip("/") + "/v1/reformulate", levels, duration_s, bodies, token))


async def _measure(
    url: str, levels: Sequence[Level], duration_s: float, bodies: Sequence[bytes], token: str | None
) -> list[Tally]:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    async with aiohttp.ClientSession(
        # Without a limit: in an open loop what waits for a connection would hide the server's slowness.
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        headers=headers,
    ) as session:
        client = Client(session, url, itertools.cycle(bodies))
        await client.warm_up()
        return [await _run(client, level, duration_s) for level in levels]


async def _run(client: Client, level: Level, duration_s: float) -> Tally:
    tally = Tally(level)
    cpu, start = time.process_time(), time.perf_counter()
    if level.kind == "rate":
        await _open_loop(client, tally, arrivals(level.value, duration_s))
    else:
        await _closed_loop(client, tally, int(level.value), duration_s)
    tally.seconds = time.perf_counter() - start
    tally.cpu_s = time.process_time() - cpu
    return tally


@dataclass
class Client:
    session: aiohttp.ClientSession
    url: str
    bodies: Iterator[bytes]

    async def warm_up(self) -> None:
        """Raises BenchgateError unless every one of the first requests is answered."""
        for _ in range(WARM_UP):
            try:
                async with self.session.post(self.url, data=next(self.bodies)) as response:
                    said = await response.text()
            except (aiohttp.ClientError, ValueError, TimeoutError) as error:
                raise BenchgateError(
                    f"{self.url}: {error or 'no answer'}; start one with `benchgate serve CELL`"
                ) from None
            if response.status != 200:
                raise BenchgateError(f"{self.url} answers {response.status}: {said[:200]}")

    async def send(self, tally: Tally, intended: float) -> None:
        """One request, its latency counted from `intended` (perf_counter, s)."""
        tally.lags.append(time.perf_counter() - intended)
        try:
            async with self.session.post(self.url, data=next(self.bodies)) as response:
                await response.read()
                status = str(response.status)
        except TimeoutError:
            status = "timeout"
        except aiohttp.ClientError as error:
            status = type(error).__name__
        if status == "200":
            tally.latencies.append(time.perf_counter() - intended)
        tally.statuses[status] += 1


def arrivals(rate: float, duration_s: float) -> list[float]:
    """Seconds from the start at which requests are to be sent: a Poisson process, the same at every run."""
    chance = random.Random(SEED)
    times = itertools.accumulate(chance.expovariate(rate) for _ in itertools.count())
    return list(itertools.takewhile(lambda t: t < duration_s, times))


async def _open_loop(client: Client, tally: Tally, times: Sequence[float]) -> None:
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    all_sent = asyncio.Event()

    def send(intended: float) -> None:
        task = loop.create_task(client.send(tally, intended))
        running.add(task)
        task.add_done_callback(running.discard)

    def tick(call: Callable[..., None], *arguments: float) -> None:
        loop.call_soon_threadsafe(call, *arguments)

    def clock() -> None:
        # A thread, because the event loop's own timer wakes up to a millisecond late.
        start = time.perf_counter()
        for at in times:
            time.sleep(max(0.0, start + at - time.perf_counter()))
            tick(send, start + at)
        tick(all_sent.set)

    threading.Thread(target=clock, name="arrivals", daemon=True).start()
    await all_sent.wait()
    await asyncio.gather(*running)


async def _closed_loop(client: Client, tally: Tally, clients: int, duration_s: float) -> None:
    end = time.perf_counter() + duration_s

    async def one() -> None:
        while (now := time.perf_counter()) < end:
            await client.send(tally, now)

    await asyncio.gather(*(one() for _ in range(clients)))
