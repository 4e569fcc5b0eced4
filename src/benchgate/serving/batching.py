"""Natural micro-batching: one thread owns the model and takes whatever has queued up while it was busy.

Nothing waits for a batch to fill: a request that finds the queue empty runs at once, alone. The queue is bounded, and
what does not fit is refused at the door: load beyond what the model can do costs neither memory nor the others time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchgate.core import BenchgateError
from benchgate.serving.reformulate import Question, Reformulator


class QueueFull(BenchgateError):
    """No room for the questions of a request; try again in a moment."""


class NotReady(BenchgateError):
    """The model is being loaded, or the server is shutting down."""


@dataclass(frozen=True)
class Served:
    """One answer; `queue_s` is the wait before its batch began, `model_s` what its batch of `batch` questions took."""

    text: str
    queue_s: float
    model_s: float
    batch: int


@dataclass(eq=False)
class Ticket:
    """One question in the queue; `future` gets a Served or an exception. `since` is when it came (perf_counter, s)."""

    question: Question
    future: asyncio.Future[Served]
    since: float


@dataclass(frozen=True)
class Admitted:
    """A question that the model can read, as token ids."""

    ticket: Ticket
    source: Sequence[int]


class Batcher:
    """Loads the model in a thread of its own and answers questions there, in batches of at most `max_batch`.

    `start`, `submit`, `cancel` and `close` belong to one event loop. `observe(size, seconds)` is called in the model's
    thread after each batch.
    """

    def __init__(
        self,
        load: Callable[[], Reformulator],
        max_batch: int,
        capacity: int,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self.max_batch, self.capacity = max_batch, capacity
        self.failure: BaseException | None = None
        self._load, self._observe = load, observe
        self._queue: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._loaded = self._closing = False
        self._busy_since: float | None = None
        # A daemon: a model that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="benchgate-model", daemon=True)

    def start(self, on_failure: Callable[[], None] = lambda: None) -> None:
        """Begin to load. `on_failure` is called in the event loop when that fails; `failure` says why."""
        self._loop, self._on_failure = asyncio.get_running_loop(), on_failure
        self._finished = asyncio.Event()
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Questions in the queue, without those in the model."""
        return len(self._queue)

    @property
    def ready(self) -> bool:
        return self._loaded and not self._closing

    def has_ended(self, within_s: float) -> bool:
        """True where the model's thread is done, or is so within this time."""
        if self._thread.ident is not None:
            self._thread.join(within_s)
        return not self._thread.is_alive()

    def busy_s(self) -> float:
        """How long the model has been at its current batch; 0 when it is idle."""
        since = self._busy_since
        return 0.0 if since is None else time.perf_counter() - since

    def submit(self, questions: Sequence[Question]) -> list[Ticket]:
        """Queue all of the questions, or none. Raises NotReady and QueueFull."""
        with self._changed:
            if not self.ready:
                raise NotReady("the server is shutting down" if self._closing else "the model is being loaded")
            free = self.capacity - len(self._queue)
            if len(questions) > free:
                raise QueueFull(f"the queue has room for {free} of {len(questions)}; try again")
            now = time.perf_counter()
            tickets = [Ticket(question, self._loop.create_future(), now) for question in questions]
            self._queue.extend(tickets)
            self._changed.notify()
        return tickets

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """Drop what nobody waits for any more; what is in the model already runs on and its answer is thrown away."""
        with self._changed:
            for ticket in tickets:
                ticket.future.cancel()
                if ticket in self._queue:
                    self._queue.remove(ticket)

    async def close(self, grace_s: float) -> bool:
        """Take nothing new, answer what is queued; whether that was done within `grace_s` seconds."""
        self.refuse()
        try:
            await asyncio.wait_for(self._finished.wait(), grace_s)
        except TimeoutError:
            with self._changed:
                left = list(self._queue)
            self.cancel(left)
            return False
        return True

    def refuse(self) -> None:
        """Take nothing new from now on."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def abandon(self) -> None:
        """Let `close` wait no longer."""
        self._finished.set()

    def _work(self) -> None:
        try:
            reformulator = self._load()
        except BaseException as error:
            self.failure = error
            self._tell(self._on_failure)
        else:
            self._loaded = True
            while batch := self._next():
                self._answer(reformulator, self._admitted(reformulator, batch))
            reformulator.session.close()
        self._tell(self._finished.set)

    def _next(self) -> list[Ticket]:
        """The next batch; empty when there will be none any more."""
        with self._changed:
            self._busy_since = None
            while not self._queue and not self._closing:
                self._changed.wait()
            batch = [self._queue.popleft() for _ in range(min(self.max_batch, len(self._queue)))]
            if batch:
                self._busy_since = time.perf_counter()
            return batch

    def _admitted(self, reformulator: Reformulator, batch: Sequence[Ticket]) -> list[Admitted]:
        """The questions that the model can read; the others have their refusal, and cost their neighbours no run."""
        admitted = []
        for ticket in batch:
            try:
                admitted.append(Admitted(ticket, reformulator.source(ticket.question)))
            except Exception as error:
                self._tell(_settle, [(ticket, error)])
        return admitted

    def _answer(self, reformulator: Reformulator, batch: Sequence[Admitted]) -> None:
        if not batch:
            return
        start = time.perf_counter()
        try:
            texts = reformulator.answers([one.source for one in batch])
        except Exception as error:
            if len(batch) == 1:
                self._tell(_settle, [(batch[0].ticket, error)])
                return
            # One bad question must not take its neighbours with it: each again, alone.
            for one in batch:
                self._answer(reformulator, [one])
            return
        seconds = time.perf_counter() - start
        self._observe(len(batch), seconds)
        served = [
            Served(text, start - one.ticket.since, seconds, len(batch)) for one, text in zip(batch, texts, strict=True)
        ]
        self._tell(_settle, [(one.ticket, answer) for one, answer in zip(batch, served, strict=True)])

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        """Call in the event loop; one that is closed (a RuntimeError) has nobody left to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)


def _settle(outcomes: Sequence[tuple[Ticket, Served | Exception]]) -> None:
    for ticket, outcome in outcomes:
        if ticket.future.done():
            continue
        if isinstance(outcome, Served):
            ticket.future.set_result(outcome)
        else:
            ticket.future.set_exception(outcome)
