"""Traces: a span around each request, sent to an OpenTelemetry collector. Imported only where they are asked for."""

import threading

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.entrance import KNOWN_METHODS
from service.logs import TRACE_ID
from service.refusals import OTHER_ROUTE, route_template

BODY_READ = "body read"

# Spans that no collector took by then are lost: the end of the process must not wait for one that is down.
_LONGEST_FLUSH_SECONDS = 2.0

_CALLER = TraceContextTextMapPropagator()


class Traced:
    """An ASGI application with a server span around each request.

    A request with a `traceparent` belongs to its caller's trace, and is sent if the caller's span is; any other begins
    a trace and is sent. Names and attributes are those of the HTTP semantic conventions
    (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), but for query strings: no route takes one, so what
    stands there is not ours to tell. A span has an event where its body has come.

    What OpenTelemetry itself reads from the environment (`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`,
    `OTEL_TRACES_SAMPLER`, …) holds as well.

    Args:
        app: What answers.
        endpoint: The URL that takes traces by OTLP over HTTP.
    """

    def __init__(self, app: ASGIApp, endpoint: str) -> None:
        self._app = app
        # Merged last, so that OTEL_SERVICE_NAME may say better.
        resource = Resource.create({"service.name": "seqrisk"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("seqrisk")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        span = self._begin(scope)
        TRACE_ID.set(format_trace_id(span.get_span_context().trace_id))

        async def traced_receive() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                span.add_event(BODY_READ)
            return message

        async def traced_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                _tell_answer(span, message)
            await send(message)

        try:
            await self._app(scope, traced_receive, traced_send)
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            if (route := route_template(scope)) != OTHER_ROUTE:
                span.set_attribute("http.route", route)
                span.update_name(f"{_method(scope)} {route}")
            span.end()

    def close(self) -> None:
        """Send what has not been sent, and wait a moment for it."""
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(_LONGEST_FLUSH_SECONDS)

    def _begin(self, scope: Scope) -> Span:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {
            "http.request.method": scope["method"] if scope["method"] in KNOWN_METHODS else "_OTHER",
            "network.protocol.version": scope["http_version"],
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        if scope["method"] not in KNOWN_METHODS:
            attributes["http.request.method_original"] = scope["method"]
        if scope["client"] is not None:
            attributes["network.peer.address"] = scope["client"][0]
        if "user-agent" in headers:
            attributes["user_agent.original"] = headers["user-agent"]
        # A context of its own, so that nothing but the headers decides on the parent.
        caller = _CALLER.extract(headers, Context())
        return self._tracer.start_span(_method(scope), caller, SpanKind.SERVER, attributes)


def _tell_answer(span: Span, start: Message) -> None:
    status: int = start["status"]
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
    for name, value in start["headers"]:
        if name == b"x-request-id":
            span.set_attribute("http.response.header.x-request-id", [value.decode("latin-1")])


def _method(scope: Scope) -> str:
    """The method as a span's name has it."""
    method: str = scope["method"]
    return method if method in KNOWN_METHODS else "HTTP"
