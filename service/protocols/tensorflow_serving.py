"""TensorFlow Serving's REST protocol, for whoever calls it already: predict, status, metadata.

Its paths are matched whatever their case, and its errors come with its texts inside our envelope.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import JsonValue
from pydantic_core import to_json

from service.errors import UnknownModelError, WrongElementError
from service.lineup import LineUp
from service.pair import Pair, Part
from service.predict_request import PredictRequest, read_predict_request, wrong_type
from service.protocols.short_ways import GuardedRouter, PlainRoute
from service.schemas import ErrorAnswer, ModelVersionStatus
from service.scoring import Scoring, shown
from service.tensorflow_serving_schemas import (
    MetadataAnswer,
    OutputsAnswer,
    PredictBody,
    PredictionsAnswer,
    StatusOfVersionsAnswer,
)
from service.tensorflow_serving_targets import OTHER_PATHS, TARGETS, CaselessRoute, Target, expected, find, refuse_path
from service.version_statuses import version_statuses

Responses = dict[int | str, dict[str, Any]]

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "Not JSON, not this protocol's form, or a rule of the tensors is broken.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large, as it came or unpacked.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is compressed in a way not known here.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The model or the service is at fault.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not ready or overloaded; `Retry-After` says when to try again.",
    HTTPStatus.GATEWAY_TIMEOUT: "The time ran out.",
}
_PREDICT_REFUSALS: Responses = {
    status: {"model": ErrorAnswer, "description": text} for status, text in _REFUSALS.items()
}
# Of a path that names a model, or a version; an unknown label is malformed.
_UNKNOWN: Responses = {
    HTTPStatus.NOT_FOUND: {"model": ErrorAnswer, "description": "No such model or version is loaded."}
}
_READ_REFUSALS: Responses = {
    status: _PREDICT_REFUSALS[status] for status in (HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE)
}
PREDICT_RESPONSES: Responses = {
    HTTPStatus.OK: {
        "model": PredictionsAnswer | OutputsAnswer,
        "description": "By row for `instances`, by column for `inputs`.",
    },
    **_PREDICT_REFUSALS,
}
PREDICT_BODY: dict[str, JsonValue] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictBody"}}},
    }
}


class _PredictRoute(CaselessRoute, PlainRoute):
    """Words in any case, and no injection."""


def create_router(lineup: LineUp, scoring: Scoring) -> APIRouter:
    """The routes of the protocol. They come before those of the catalogue, whose paths are a part of theirs."""
    router = GuardedRouter(paths=["/v1/models/"], tags=["TensorFlow Serving"], route_class=CaselessRoute)
    for path, target_of in TARGETS:
        _add_routes(router, path, Depends(target_of), lineup, scoring)
    for path in OTHER_PATHS:
        router.add_api_route(path, refuse_path, methods=["GET", "POST"], include_in_schema=False)
    return router


def document(app: FastAPI) -> None:
    """Add the schema of the request, which is read as bytes, to the OpenAPI document."""
    schema = PredictBody.model_json_schema(ref_template="#/components/schemas/{model}")
    app.openapi()["components"]["schemas"] |= {**schema.pop("$defs"), "PredictBody": schema}


def write_predictions(asked: PredictRequest, part: Part) -> Response:
    """The answer, in the form of the request."""
    risks, auxiliary_risks = shown(part.scores.risk), shown(part.scores.auxiliary_risk)
    if asked.form == "inputs":
        content: JsonValue = {"outputs": {"risk": list(risks), "auxiliary_risk": list(auxiliary_risks)}}
    else:
        rows = zip(risks, auxiliary_risks, strict=True)
        content = {"predictions": [{"risk": risk, "auxiliary_risk": auxiliary} for risk, auxiliary in rows]}
    return Response(to_json(content), media_type="application/json")


async def predict(request: Request, scoring: Scoring, choose: Callable[[], Pair] | None = None) -> Response:
    """Answer a request in this protocol's form, on whichever path it came.

    Args:
        request: Its body has not been read.
        scoring: Scores it.
        choose: Who answers; by default whoever answers our own protocol.

    Raises:
        ServiceError: Whatever keeps it from being answered.
    """
    try:
        return await scoring.answer(request, read_predict_request, write_predictions, choose)
    except WrongElementError as wrong:
        raise wrong_type(wrong) from wrong


def _add_routes(router: APIRouter, path: str, asked: Any, lineup: LineUp, scoring: Scoring) -> None:  # noqa: ANN401  FastAPI's own
    unknown = {} if "{label}" in path else _UNKNOWN

    async def predict_with(request: Request, target: Target = asked) -> Response:
        find(lineup, target)
        return await predict(request, scoring, lambda: lineup.pair(find(lineup, target)))

    router.add_api_route(
        path + ":predict",
        predict_with,
        methods=["POST"],
        summary="Score tensors, as TensorFlow Serving",
        response_class=Response,
        responses=PREDICT_RESPONSES | unknown,
        openapi_extra=PREDICT_BODY,
        route_class_override=_PredictRoute,
    )

    @router.get(path + "/metadata", summary="The signature, as TensorFlow Serving", responses=_READ_REFUSALS | unknown)
    async def read_metadata(target: Target = asked) -> MetadataAnswer:
        return MetadataAnswer.of(find(lineup, target).manifest)

    # Of the model itself, the catalogue tells it.
    if path != TARGETS[0][0]:

        @router.get(
            path, summary="Which versions are loaded, as TensorFlow Serving", responses=_READ_REFUSALS | _UNKNOWN
        )
        async def read_status(target: Target = asked) -> StatusOfVersionsAnswer:
            return StatusOfVersionsAnswer(model_version_status=_statuses(lineup, target))


def _statuses(lineup: LineUp, target: Target) -> list[ModelVersionStatus]:
    """A label does not matter, as in TensorFlow Serving."""
    statuses = version_statuses(lineup, target.name)
    if target.version is None:
        return statuses
    found = [status for status in statuses if status.version == str(target.version)]
    if not found:
        message = f"Could not find version {target.version} of model {target.name}"
        raise UnknownModelError(message, expected(lineup))
    return found
