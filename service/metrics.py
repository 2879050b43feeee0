"""Every Prometheus metric, declared once. Label values come from closed sets, so their number is bounded.

Metrics           the metrics of one process
RequestMetrics    ASGI middleware: counts and times every HTTP request
"""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Paths that no route of ours has, and FastAPI's own pages.
OTHER_ROUTE = "other"
OTHER_METHOD = "other"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SECONDS_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 2, 5)
_SEQUENCES_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_RATIO_BUCKETS = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


class Metrics:
    """The metrics of one process.

    Args:
        registry: Where they are registered: a fresh one unless given, never prometheus_client's global one.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry

        self.requests = self._counter("seqrisk_requests_total", "HTTP requests answered.", "route", "method", "status")
        self.request_seconds = self._histogram(
            "seqrisk_request_seconds",
            "Time from a request's head to the end of its answer.",
            _SECONDS_BUCKETS,
            "route",
        )
        self.rejects = self._counter("seqrisk_rejects_total", "Answers in the error envelope.", "route", "code")

        self.sequences = self._counter("seqrisk_sequences_total", "Sequences scored.")
        self.unknown_events = self._counter(
            "seqrisk_unknown_events_total", "Used events whose type is not in the vocabulary."
        )
        self.truncated_events = self._counter(
            "seqrisk_truncated_events_total", "Oldest events left out of histories longer than the model takes."
        )

        self.batch_sequences = self._histogram(
            "seqrisk_batch_sequences", "Sequences in one call of the model.", _SEQUENCES_BUCKETS
        )
        self.batch_padding_ratio = self._histogram(
            "seqrisk_batch_padding_ratio", "Share of one call's (batch, time) cells that hold no event.", _RATIO_BUCKETS
        )

        self.compiles = self._counter("seqrisk_compiles_total", "Programs compiled, one a (batch, time) shape.")
        self.model_ready = self._gauge("seqrisk_model_ready", "1 once the model is verified and warm, else 0.")
        self.model_info = self._gauge(
            "seqrisk_model_info", "Always 1; the labels say which version answers.", "name", "version"
        )
        self.model_load_seconds = self._gauge(
            "seqrisk_model_load_seconds", "Time the answering version took from opening to warm."
        )

        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, buckets=buckets, registry=self.registry)


class RequestMetrics:
    """Counts and times every HTTP request by route template, method and class of status.

    Plain ASGI: Starlette's `BaseHTTPMiddleware` would cost a task a request.

    Args:
        app: What answers.
        metrics: Where it is counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and observe its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started_at = time.perf_counter()

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            route = route_template(scope)
            method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
            self._metrics.requests.labels(route, method, f"{status // 100}xx").inc()
            self._metrics.request_seconds.labels(route).observe(time.perf_counter() - started_at)


def route_template(scope: Scope) -> str:
    """The path template that matched, such as `/v1/models/{name}`: a closed set, whatever clients ask for."""
    route = scope.get("route")
    return getattr(route, "path", OTHER_ROUTE)
