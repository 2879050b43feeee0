"""What managed clouds expect of a container: Vertex AI's health and predict routes, SageMaker's ping and invocations.

The bodies are TensorFlow Serving's.
"""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from service.entrance import DirectRoute
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.protocols.probes import check_ready
from service.protocols.short_ways import GuardedRouter
from service.protocols.tensorflow_serving import PREDICT_BODY, PREDICT_RESPONSES, predict
from service.schemas import ErrorAnswer
from service.scoring import Scoring
from service.settings import Settings

_HEALTH_RESPONSES: dict[int | str, dict[str, object]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {"model": ErrorAnswer, "description": "Not yet, or no more; `error` says why."}
}


def create_router(settings: Settings, lineup: LineUp, lifecycle: Lifecycle, scoring: Scoring) -> APIRouter:
    """The routes of both clouds. Vertex AI chooses its own; without them there are only SageMaker's."""
    ways = (
        ("SageMaker", "/ping", "/invocations"),
        ("Vertex AI", settings.vertex_health_route, settings.vertex_predict_route),
    )
    paths = [path for _, *paths in ways for path in paths if path is not None]
    router = GuardedRouter(paths=paths, route_class=DirectRoute)

    async def is_ready(_: Request) -> Response:
        check_ready(lineup, lifecycle)
        return Response()

    async def score(request: Request) -> Response:
        return await predict(request, scoring)

    for cloud, health, invocations in ways:
        if health is not None:
            router.add_api_route(
                health,
                is_ready,
                summary=f"Is the model ready, as {cloud} asks?",
                tags=[cloud],
                response_class=Response,
                responses=_HEALTH_RESPONSES,
            )
        if invocations is not None:
            router.add_api_route(
                invocations,
                score,
                methods=["POST"],
                summary=f"Score tensors, as {cloud} asks",
                tags=[cloud],
                response_class=Response,
                responses=PREDICT_RESPONSES,
                openapi_extra=PREDICT_BODY,
            )
    return router
