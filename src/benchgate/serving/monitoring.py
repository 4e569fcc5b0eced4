"""Figures that the server tells Prometheus. A registry a server: two in one process do not share their figures."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

# Finest below the 100 ms within which a search box must answer.
SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)
# Anything else is counted as "other": paths are the client's to choose, and each would be a time series.
PATHS = frozenset({"/v1/reformulate", "/healthz", "/readyz", "/metrics"})


class Monitoring:
    """The figures and the calls that feed them. `batch` is called in the model's thread; metrics may be."""

    def __init__(self, waiting: Callable[[], float], ready: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "benchgate_requests", "Answered HTTP requests.", ["path", "status"], registry=self.registry
        )
        self._seconds = self._histogram(
            "benchgate_request_seconds", "Head to end of answer of /v1/reformulate.", SECONDS
        )
        self._model = self._histogram("benchgate_model_seconds", "Model time of a batch, from text to text.", SECONDS)
        self._batch = self._histogram("benchgate_batch_size", "Queries of a batch.", SIZES)
        Gauge("benchgate_queue", "Queries that wait for the model.", registry=self.registry).set_function(waiting)
        Gauge("benchgate_ready", "1 while requests are taken.", registry=self.registry).set_function(ready)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """One request; status 0 is one that got no answer, its client having gone."""
        self._requests.labels(path if path in PATHS else "other", str(status)).inc()
        if path == "/v1/reformulate":
            self._seconds.observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        self._batch.observe(size)
        self._model.observe(seconds)
