"""The application: its routes, its lifespan, and the framework's own refusals in our envelope."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service import openapi
from service.entrance import DirectRoute, Entrance, unexpected
from service.errors import InvalidRequestError, ServiceError, UnknownPathError, WrongMethodError
from service.faults import received, structural_faults
from service.guard import Guard
from service.intake import Intake
from service.key_file import KeyFile
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.protocols import catalogue, clouds, documentation, open_inference, probes, score, tensorflow_serving
from service.reader import Reader
from service.reading import Reading
from service.refusals import Refusals
from service.safety_headers import safety_headers
from service.schemas import ErrorAnswer
from service.scoring import Scoring
from service.settings import Settings, SettingsError
from service.tls import Tls

if TYPE_CHECKING:
    from service.protocols.open_inference_grpc import GrpcServer

# What an idle model needs to end, even if requests have taken all the time there was.
_MOMENT_SECONDS = 0.2

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings, lineup: LineUp, metrics: Metrics, lifecycle: Lifecycle, tls: Tls | None = None
) -> Entrance:
    """The service's ASGI application.

    Args:
        settings: What the operator chose.
        lineup: The served model; started and stopped with the application.
        metrics: Where everything is counted.
        lifecycle: Says when the process is to stop.
        tls: For gRPC, as for HTTP; None for neither.

    Raises:
        SettingsError: There is to be gRPC, but not its extra, or not its port; or the file of keys is not right.
    """
    intake = Intake(
        settings.max_waiting_bytes,
        settings.max_turn_seconds,
        # The other half is for those whose turn has come by then: what is worked on is not refused afterwards.
        is_model_busy=lambda: lineup.num_waiting > settings.max_waiting_sequences // 2,
        observe=metrics.stage_seconds.labels("turn").observe,
    )
    reader, refusals = Reader(), Refusals(metrics)
    metrics.waiting_bytes.set_function(lambda: intake.waiting_bytes)
    scoring = Scoring(settings, lineup, metrics, intake, reader)
    guard = None
    if settings.api_keys_file is not None:
        guard = Guard(KeyFile(settings.api_keys_file, metrics), settings, metrics)
    grpc_server = None
    if settings.grpc_port is not None:
        grpc_server = _grpc_server(
            settings,
            lineup,
            metrics=metrics,
            lifecycle=lifecycle,
            scoring=scoring,
            guard=guard,
            tls=tls,
        )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await lineup.start()
        if grpc_server is not None:
            await grpc_server.start()
        following = None if guard is None else asyncio.create_task(guard.follow())
        try:
            yield
        finally:
            if following is not None:
                following.cancel()
            if grpc_server is not None:
                await grpc_server.stop()
            lifecycle.close(settings.drain_timeout_seconds)
            await _stop(lineup, lifecycle.left_seconds)
            await reader.close()

    app = FastAPI(
        title="seqrisk",
        version="1",
        description="Event sequences in, calibrated risks out.",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"model": ErrorAnswer, "description": "Every answer that is no success."}},
    )
    routers = (
        tensorflow_serving.create_router(lineup, scoring),
        clouds.create_router(settings, lineup, lifecycle, scoring),
        score.create_router(settings, lineup, metrics, intake, Reading(settings, intake, reader)),
        catalogue.create_router(settings, lineup, lifecycle),
        open_inference.create_router(settings, lineup, lifecycle, scoring),
        probes.create_router(lineup, metrics, lifecycle),
        documentation.create_router(settings),
    )
    for router in routers:
        app.include_router(router)
    if settings.docs:
        # First: every further route makes the framework begin its document anew.
        documentation.add_document(app)
    open_inference.document(app)
    tensorflow_serving.document(app)
    openapi.complete(app, settings)
    _add_error_handlers(app, refusals)
    direct_routes = [route for router in routers for route in router.routes if isinstance(route, DirectRoute)]
    return Entrance(
        app,
        direct_routes=direct_routes,
        metrics=metrics,
        refusals=refusals,
        lifecycle=lifecycle,
        headers=safety_headers(settings),
        guard=guard,
    )


def _grpc_server(
    settings: Settings,
    lineup: LineUp,
    *,
    metrics: Metrics,
    lifecycle: Lifecycle,
    scoring: Scoring,
    guard: Guard | None,
    tls: Tls | None,
) -> "GrpcServer":
    # The process that reads large bodies inherits nothing of gRPC, which would complain about its start.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    try:
        from service.protocols.open_inference_grpc import GrpcServer  # noqa: PLC0415  an extra
    except ImportError as error:
        raise SettingsError(
            "Wrong settings: SEQRISK_GRPC_PORT: Expected gRPC, which comes with the extra `grpc`. "
            f"Received: {error}. Install it (`pip install '.[grpc]'`), or leave the variable out."
        ) from error
    return GrpcServer(
        settings,
        lineup,
        metrics=metrics,
        lifecycle=lifecycle,
        scoring=scoring,
        guard=guard,
        tls=tls,
    )


async def _stop(lineup: LineUp, left_seconds: float) -> None:
    try:
        async with asyncio.timeout(left_seconds + _MOMENT_SECONDS):
            await lineup.stop()
    except TimeoutError:
        logger.warning("The model is still at work at the end of SEQRISK_DRAIN_TIMEOUT_SECONDS; not waiting.")


def _add_error_handlers(app: FastAPI, refusals: Refusals) -> None:
    @app.exception_handler(ServiceError)
    async def on_service_error(request: Request, error: ServiceError) -> Response:
        return refusals.answer(request.scope, error)

    @app.exception_handler(HTTPStatus.NOT_FOUND)
    async def on_unknown_path(request: Request, _: HTTPException) -> Response:
        expected = "Expected a path of this service, as its documentation lists them"
        return refusals.answer(request.scope, UnknownPathError(f"{expected}. Received: {received(request.url.path)}."))

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def on_wrong_method(request: Request, refusal: HTTPException) -> Response:
        headers = refusal.headers or {}
        expected = f"Expected the method {headers['Allow']} on this path"
        return refusals.answer(
            request.scope, WrongMethodError(f"{expected}. Received: {request.method[:20]}."), headers
        )

    @app.exception_handler(RequestValidationError)
    async def on_invalid_parameter(request: Request, error: RequestValidationError) -> Response:
        details = tuple(structural_faults(error.errors()))
        return refusals.answer(request.scope, InvalidRequestError(details[0].message, details))

    @app.exception_handler(Exception)
    async def on_unexpected(request: Request, _: Exception) -> Response:
        # Starlette raises it again once this is sent, and the server logs its trace.
        return refusals.answer(request.scope, unexpected())
