"""What a platform asks of the process: is it alive, may it get traffic, how is it doing."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from service.errors import NotReadyError
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.schemas import ErrorAnswer, StatusAnswer


def create_router(lineup: LineUp, metrics: Metrics, lifecycle: Lifecycle) -> APIRouter:
    """The routes of the probes and of Prometheus."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez", summary="Is the process alive?")
    async def livez() -> StatusAnswer:
        return StatusAnswer(status="alive")

    @router.get(
        "/readyz",
        summary="Is the model verified and warm, and the service to go on?",
        responses={
            HTTPStatus.SERVICE_UNAVAILABLE: {
                "model": ErrorAnswer,
                "description": "Not yet, or no more; `error` says why.",
            }
        },
    )
    async def readyz() -> StatusAnswer:
        check_ready(lineup, lifecycle)
        return StatusAnswer(status="ready")

    @router.get(
        "/metrics",
        summary="Metrics in Prometheus' text format",
        response_class=Response,
        responses={HTTPStatus.OK: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def read_metrics(request: Request) -> Response:
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
            # In a thread, which takes turns with the event loop: tens of milliseconds.
            text = await asyncio.to_thread(encode, metrics.registry)
        except TypeError:
            # The library compares versions part by part, and one of those asked for was no number.
            encode, content_type = choose_encoder("")
            text = await asyncio.to_thread(encode, metrics.registry)
        return Response(text, headers={"content-type": content_type})

    return router


def check_ready(lineup: LineUp, lifecycle: Lifecycle) -> None:
    """Whether traffic should come here.

    Raises:
        NotReadyError: It should not.
    """
    if lifecycle.is_stopping:
        raise NotReadyError("Expected a service that goes on. Received: stopping; ask another one.")
    lineup.champion()
