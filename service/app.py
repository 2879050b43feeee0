"""The application: routes, lifespan, and the one place where errors become HTTP answers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from service.errors import InvalidRequestError, ServiceError, UnknownPathError, WrongMethodError
from service.faults import received, structural_faults
from service.lineup import LineUp
from service.metrics import Metrics, RequestMetrics, route_template
from service.protocols import catalogue, probes, score
from service.schemas import SCORE_REQUEST, ErrorAnswer, FaultBody
from service.settings import Settings


def create_app(settings: Settings, lineup: LineUp, metrics: Metrics) -> FastAPI:
    """The service's ASGI application.

    Args:
        settings: What the operator chose.
        lineup: The served model; started and stopped with the application.
        metrics: Where everything is counted.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await lineup.start()
        try:
            yield
        finally:
            await lineup.stop()

    app = FastAPI(
        title="seqrisk",
        version="1",
        description="Event sequences in, calibrated risks out.",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": ErrorAnswer, "description": "Every answer that is no success."}},
    )
    app.include_router(score.create_router(settings, lineup, metrics))
    app.include_router(catalogue.create_router(settings, lineup))
    app.include_router(probes.create_router(lineup, metrics))
    app.add_api_route("/", _to_documentation, include_in_schema=False)
    _document_score_request(app, settings)
    _add_error_handlers(app, metrics)
    app.add_middleware(RequestMetrics, metrics=metrics)
    return app


def _document_score_request(app: FastAPI, settings: Settings) -> None:
    """Add the request schema of the route that reads its body itself to the OpenAPI document."""
    schema = SCORE_REQUEST.json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")
    schema["properties"]["sequences"]["maxItems"] = settings.max_sequences
    for form in ("event_types", "elapsed_minutes", "events"):
        parts["SequenceBody"]["properties"][form]["maxItems"] = settings.max_sequence_events
    app.openapi()["components"]["schemas"] |= {**parts, "ScoreRequest": schema}


async def _to_documentation() -> RedirectResponse:
    return RedirectResponse("/docs")


def _add_error_handlers(app: FastAPI, metrics: Metrics) -> None:
    def refuse(request: Request, error: ServiceError, headers: Mapping[str, str] | None = None) -> Response:
        metrics.rejects.labels(route_template(request.scope), error.code).inc()
        headers = dict(headers or {})
        if error.retry_after_seconds is not None:
            headers["Retry-After"] = str(error.retry_after_seconds)
        details = [FaultBody(pointer=fault.pointer, message=fault.message) for fault in error.details]
        envelope = ErrorAnswer(error=error.message, code=error.code, details=details)
        return Response(envelope.model_dump_json(), error.status, headers, "application/json")

    @app.exception_handler(ServiceError)
    async def on_service_error(request: Request, error: ServiceError) -> Response:
        return refuse(request, error)

    @app.exception_handler(HTTPStatus.NOT_FOUND)
    async def on_unknown_path(request: Request, _: HTTPException) -> Response:
        expected = "Expected a path of this service, as listed at /docs"
        return refuse(request, UnknownPathError(f"{expected}. Received: {received(request.url.path)}."))

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def on_wrong_method(request: Request, refusal: HTTPException) -> Response:
        headers = refusal.headers or {}
        expected = f"Expected the method {headers['Allow']} on this path"
        return refuse(request, WrongMethodError(f"{expected}. Received: {request.method[:20]}."), headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid_parameter(request: Request, error: RequestValidationError) -> Response:
        details = tuple(structural_faults(error.errors()))
        return refuse(request, InvalidRequestError(details[0].message, details))

    @app.exception_handler(Exception)
    async def on_unexpected(request: Request, _: Exception) -> Response:
        # Starlette raises it again once this is sent, and the server logs its trace.
        return refuse(request, ServiceError("The service failed over this request; its log says why."))
