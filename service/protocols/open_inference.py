"""The Open Inference Protocol, version 2, over REST: inference, with tensors in JSON or in binary."""

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import JsonValue

from service.inference import Inferences
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.open_inference_answer import HEADER_LENGTH, write_answer
from service.open_inference_catalogue import Asked, Catalogue
from service.open_inference_request import read_inference_request
from service.open_inference_schemas import InferAnswer, InferRequest
from service.protocols import open_inference_models
from service.protocols.open_inference_models import WAYS_TO_ASK
from service.protocols.short_ways import GuardedRouter, PlainRoute
from service.schemas import ErrorAnswer
from service.scoring import Scoring
from service.settings import Settings

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "Not JSON, a header that means nothing, or tensors that break a limit or a rule.",
    HTTPStatus.NOT_FOUND: "No such model, or no such version of it, answers.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large, as it came or once it is in plain.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is compressed otherwise than by gzip or deflate.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The model or the service is at fault.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not ready or overloaded; `Retry-After` says when to try again.",
    HTTPStatus.GATEWAY_TIMEOUT: "The time ran out.",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK: {
        "model": InferAnswer,
        "description": f"The outputs. Those in binary follow the JSON, whose bytes `{HEADER_LENGTH}` then tells.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    **{status: {"model": ErrorAnswer, "description": text} for status, text in _REFUSALS.items()},
}
_REQUEST: dict[str, JsonValue] = {
    "parameters": [
        {
            "name": HEADER_LENGTH,
            "in": "header",
            "description": "How many bytes of the body, before any compression, are JSON; the rest is tensors.",
            "schema": {"type": "integer", "minimum": 1},
        }
    ],
    "requestBody": {
        "required": True,
        "description": "JSON, or JSON and behind it the tensors with `binary_data_size` among their parameters.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}


def create_router(settings: Settings, lineup: LineUp, lifecycle: Lifecycle, scoring: Scoring) -> APIRouter:
    """The routes of the protocol. Its clients send any content type, or none: bodies are read as bytes."""
    catalogue = Catalogue(settings, lineup)
    inferences = Inferences(lineup, catalogue)
    router = GuardedRouter(paths=["/v2"], tags=["Open Inference Protocol"])

    # Before the others: routes are tried in turn.
    for path, asked_for in WAYS_TO_ASK:

        async def infer(request: Request, asked: Annotated[Asked, Depends(asked_for)]) -> Response:
            read = partial(
                read_inference_request,
                header_length=request.headers.get(HEADER_LENGTH),
                model=asked.name,
            )
            with inferences.counted(asked):
                return await scoring.answer(request, read, write_answer, partial(inferences.pair, asked))

        router.add_api_route(
            f"/v2{path}/infer",
            infer,
            methods=["POST"],
            summary="Score tensors",
            response_class=Response,
            responses=_RESPONSES,
            openapi_extra=_REQUEST,
            route_class_override=PlainRoute,
        )
    router.include_router(open_inference_models.create_router(settings, lineup, lifecycle, catalogue))
    return router


def document(app: FastAPI) -> None:
    """Add the schema of the request, which is read as bytes, to the OpenAPI document."""
    schema = InferRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    app.openapi()["components"]["schemas"] |= {**schema.pop("$defs"), "InferRequest": schema}
