"""The endpoints. `create_app` is all a test needs: no socket, and any Reformulator."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from benchgate import __version__
from benchgate.serving.answering import ClientGone, TooSlow, answer, problem
from benchgate.serving.batching import Batcher, NotReady, QueueFull, Served
from benchgate.serving.guard import Guard
from benchgate.serving.monitoring import Monitoring
from benchgate.serving.reformulate import BadInput, Reformulator, checked
from benchgate.serving.schema import AnswerOut, AnswersOut, Body, FailureOut, ProblemOut, QueryIn, StateOut
from benchgate.serving.settings import Settings

REFUSALS = {
    400: "not JSON",
    401: "no valid token, where the server has one",
    408: "the body did not come in time",
    413: "the body is too long",
    421: "asked by a name that the server does not go by",
    415: "the body is not said to be application/json in UTF-8, or is compressed",
    422: "not a query: wrong type, unknown field, empty, too long, control characters",
    429: "the queue is full; Retry-After says when to try again",
    500: "the model failed",
    502: "the model's output cannot be used",
    503: "loading, shutting down, or no answer within the time limit; Retry-After says when to try again",
}
# Seconds that a client is told to wait: a queue is worked off within one, a model is loaded within some.
RETRY_AFTER = {QueueFull: (429, "1"), TooSlow: (503, "1"), NotReady: (503, "5")}
# A batch that takes so many time limits is taken for hanging.
HANGING = 2
SHOWN_ERRORS = 3


def create_app(
    load: Callable[[], Reformulator], settings: Settings, on_failure: Callable[[], None] = lambda: None
) -> FastAPI:
    """The application. It loads the model when it starts, answers 503 until that is done, and calls `on_failure` if it
    cannot be; `app.state.batcher.failure` is the reason then."""
    batcher = Batcher(load, settings.max_batch, settings.queue, lambda size, seconds: monitoring.batch(size, seconds))
    monitoring = Monitoring(lambda: batcher.waiting, lambda: batcher.ready)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start(on_failure)
        yield
        await batcher.close(settings.timeout_s)

    app = FastAPI(
        title="benchgate query reformulation",
        version=__version__,
        lifespan=lifespan,
        redoc_url=None,
        # A redirect would go to whatever the Host header says.
        redirect_slashes=False,
        description="A follow-up query and its conversation in, a self-contained query out.",
    )
    app.state.batcher = batcher
    app.add_middleware(Guard, settings=settings, observe=monitoring.request)
    _add_problems(app)
    _add_state(app, batcher, settings)
    secured = [] if settings.token is None else [Depends(HTTPBearer(auto_error=False))]
    _add_reformulate(app, batcher, settings, secured)

    @app.get("/metrics", dependencies=secured, response_class=Response, responses=_refusals(401))
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(monitoring.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _add_reformulate(app: FastAPI, batcher: Batcher, settings: Settings, secured: list[Any]) -> None:
    answers = AnswerOut | AnswersOut

    @app.post("/v1/reformulate", dependencies=secured, responses=_refusals(*REFUSALS), response_model=answers)
    async def reformulate(body: Body, request: Request) -> AnswerOut | AnswersOut | Response:
        """Reformulate one query, or several at once; one of several that fails has a `detail` in place of an answer."""
        asked = [body] if isinstance(body, QueryIn) else body.queries
        if len(asked) > settings.max_queries:
            raise BadInput(f"{len(asked)} queries; at most {settings.max_queries} are taken at once")
        questions = [checked(one.context, one.query) for one in asked]
        results = await answer(batcher, questions, settings.timeout_s, request.receive)
        if isinstance(body, QueryIn):
            (result,) = results
            return AnswerOut.of(result) if isinstance(result, Served) else _say(*problem(result))
        return AnswersOut(
            answers=[AnswerOut.of(r) if isinstance(r, Served) else FailureOut(detail=problem(r)[1]) for r in results]
        )


def _add_state(app: FastAPI, batcher: Batcher, settings: Settings) -> None:
    @app.get("/healthz")
    async def healthz() -> StateOut:
        """The process is alive."""
        return StateOut(status="alive")

    @app.get("/readyz", responses=_refusals(503))
    async def readyz() -> StateOut:
        """Requests are taken: the model is loaded, does not hang, and the server is not shutting down."""
        busy = batcher.busy_s()
        if busy > HANGING * settings.timeout_s:
            raise NotReady(f"the model has been at one batch for {busy:.0f} s")
        if not batcher.ready:
            raise NotReady("the model is being loaded, or the server is shutting down")
        return StateOut(status="ready")


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ProblemOut, "description": REFUSALS[status]} for status in statuses}


def _add_problems(app: FastAPI) -> None:
    """Every answer that is no success is `{"detail": "..."}`, and none repeats what the client sent."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if any(one["type"] == "json_invalid" for one in error.errors()):
            return _say(400, "the body is not JSON")
        shown = [f"{_place(one)}: {one['msg']}" for one in error.errors()[:SHOWN_ERRORS]]
        return _say(422, "; ".join(shown))

    for kind, (status, seconds) in RETRY_AFTER.items():
        app.add_exception_handler(kind, _retry(status, seconds))

    @app.exception_handler(ClientGone)
    async def gone(request: Request, error: ClientGone) -> Response:
        # nginx's number for it; nobody reads it but the metrics.
        return _say(499, "the client went away")

    @app.exception_handler(BadInput)
    async def bad(request: Request, error: BadInput) -> Response:
        return _say(*problem(error))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        # uvicorn logs it with its traceback.
        return _say(500, "the server failed; its log says how")


def _retry(status: int, seconds: str) -> Callable[[Request, Exception], Response]:
    return lambda request, error: _say(status, str(error), {"Retry-After": seconds})


def _say(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": reason}, status, headers)


def _place(error: dict[str, Any]) -> str:
    """`queries.0.query`; a name that the client made up is not said again."""
    location = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    unknown = ["unknown field"] if error["type"] == "extra_forbidden" else []
    parts = [str(part) for part in location if part not in ("body", "one", "several")]
    return ".".join([*parts, *unknown]) or "body"
