"""The Open Inference Protocol, version 2, over REST: health, metadata, and Triton's extensions to them."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError

from service.access import read_body, read_deadline
from service.errors import BodyTooLargeError, InvalidTensorsError, MalformedJsonError, ModelControlError
from service.faults import structural_faults
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.open_inference_catalogue import Asked, Catalogue
from service.open_inference_schemas import (
    IndexEntry,
    IndexRequest,
    ModelConfig,
    ModelMetadata,
    ModelReady,
    ModelStatistics,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from service.protocols.probes import check_ready
from service.schemas import ErrorAnswer
from service.settings import Settings
from service.stay import Stay

# Of the one request here that has a body: some ten bytes.
_MAX_INDEX_BYTES = 1_000


async def _any_version(_: Request, name: str) -> Asked:
    return Asked(name)


async def _one_version(_: Request, name: str, version: str) -> Asked:
    return Asked(name, version)


# Paths of a model, and who is asked by each.
WAYS_TO_ASK: tuple[tuple[str, Callable[..., Awaitable[Asked]]], ...] = (
    ("/models/{name}", _any_version),
    ("/models/{name}/versions/{version}", _one_version),
)


def create_router(settings: Settings, lineup: LineUp, lifecycle: Lifecycle, catalogue: Catalogue) -> APIRouter:
    """The routes of everything but inference."""
    router = APIRouter(prefix="/v2")
    _add_server(router, catalogue, lineup, lifecycle)
    _add_models(router, catalogue, lineup, lifecycle)
    _add_repository(router, settings, catalogue)
    return router


def model_control_is_off() -> ModelControlError:
    """The refusal to load or unload a version because a client says so."""
    return ModelControlError(
        "Expected the repository to decide which versions are loaded: publish one, and the service takes it up. "
        "Received: a request to load or unload."
    )


def _add_server(router: APIRouter, catalogue: Catalogue, lineup: LineUp, lifecycle: Lifecycle) -> None:
    @router.get("/health/live", summary="Is the process alive?")
    async def is_live() -> ServerLive:
        return ServerLive()

    @router.get(
        "/health/ready",
        summary="Is the model verified and warm, and the service to go on?",
        responses=_refusals({HTTPStatus.SERVICE_UNAVAILABLE: "Not yet, or no more; `error` says why."}),
    )
    async def is_ready() -> ServerReady:
        check_ready(lineup, lifecycle)
        return ServerReady()

    @router.get("/", include_in_schema=False)
    @router.get("", summary="Who answers, and which extensions there are")
    async def read_server() -> ServerMetadata:
        return catalogue.server()

    @router.get("/models/stats", summary="What every version has done")
    async def read_all_statistics() -> ModelStatistics:
        return catalogue.statistics(None)


def _add_models(router: APIRouter, catalogue: Catalogue, lineup: LineUp, lifecycle: Lifecycle) -> None:
    responses = _refusals(
        {
            HTTPStatus.NOT_FOUND: "No such model, or no such version of it, answers.",
            HTTPStatus.SERVICE_UNAVAILABLE: "It does not answer yet, or (`/ready`) no more; `error` says why.",
        }
    )
    for path, asked_for in WAYS_TO_ASK:

        @router.get(f"{path}/ready", summary="Is it verified and warm?", responses=responses)
        async def is_model_ready(asked: Annotated[Asked, Depends(asked_for)]) -> ModelReady:
            model = catalogue.find(asked)
            check_ready(lineup, lifecycle)
            return ModelReady(name=model.manifest.name)

        @router.get(path, summary="Which tensors it takes and gives", responses=responses)
        async def read_model(asked: Annotated[Asked, Depends(asked_for)]) -> ModelMetadata:
            return catalogue.model(asked)

        @router.get(f"{path}/config", summary="The same in Triton's words", responses=responses)
        async def read_config(asked: Annotated[Asked, Depends(asked_for)]) -> ModelConfig:
            return catalogue.config(asked)

        @router.get(f"{path}/stats", summary="What it has done", responses=responses)
        async def read_statistics(asked: Annotated[Asked, Depends(asked_for)]) -> ModelStatistics:
            return catalogue.statistics(asked)


def _add_repository(router: APIRouter, settings: Settings, catalogue: Catalogue) -> None:
    @router.post(
        "/repository/index",
        summary="Every version in the repository",
        responses=_refusals(
            {
                HTTPStatus.BAD_REQUEST: "The body is neither empty nor an object with `ready`.",
                HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time.",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is compressed.",
            }
        ),
        openapi_extra={"requestBody": {"content": {"application/json": {"schema": IndexRequest.model_json_schema()}}}},
    )
    async def read_index(request: Request) -> list[IndexEntry]:
        headers = dict(request.scope["headers"])
        with Stay(request.receive, read_deadline(headers, settings.request_timeout_seconds, monotonic())):
            try:
                body = await read_body(request.receive, headers, _MAX_INDEX_BYTES, lambda _: None)
            except BodyTooLargeError as error:
                raise BodyTooLargeError(
                    f"Expected nothing, or an object with `ready`, in at most {_MAX_INDEX_BYTES} bytes. Received: more."
                ) from error
        return catalogue.index(only_ready=_read_index_request(body).ready)

    for verb in ("load", "unload"):

        @router.post(
            f"/repository/models/{{name}}/{verb}",
            summary="Refused: the repository decides what is loaded",
            status_code=HTTPStatus.FORBIDDEN,
            responses=_refusals({HTTPStatus.FORBIDDEN: "Always."}),
        )
        async def refuse(name: str) -> None:
            raise model_control_is_off()


def _read_index_request(body: bytes) -> IndexRequest:
    try:
        return IndexRequest.model_validate_json(body or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False)
        details = tuple(structural_faults(found))
        refusal = MalformedJsonError if found[0]["type"] == "json_invalid" else InvalidTensorsError
        raise refusal(details[0].message, details) from error


def _refusals(texts: Mapping[HTTPStatus, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorAnswer, "description": text} for status, text in texts.items()}
