"""Our own protocol: event sequences in, risks out."""

import time
from datetime import UTC, datetime
from http import HTTPStatus

import numpy as np
from fastapi import APIRouter, Request, Response

from models.sequences import EncodedBatch, encode
from service.access import read_body
from service.batcher import Scores
from service.errors import Fault, ModelFaultError, UnknownModelError
from service.histories import Rules
from service.lineup import LineUp, LiveModel
from service.metrics import Metrics
from service.schemas import SCORE_ANSWER, ErrorAnswer, ScoreAnswer
from service.score_request import Histories, read_score_request
from service.settings import Settings

# Far finer than float32 tells apart near 0.5, and short to read.
_RISK_DECIMALS = 8

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "Not JSON.",
    HTTPStatus.NOT_FOUND: "The model asked for is not served here.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is compressed.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body breaks the schema, a limit or an event-time rule.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The model or the service is at fault.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not ready or overloaded; `Retry-After` says when to try again.",
    HTTPStatus.GATEWAY_TIMEOUT: "The time ran out.",
}


def create_router(settings: Settings, lineup: LineUp, metrics: Metrics) -> APIRouter:
    """The route that scores.

    It reads and answers bytes: FastAPI's own body and response models would each be one more pass over the data.
    """
    router = APIRouter(tags=["scores"])

    @router.post(
        "/v1/score",
        summary="Score event sequences",
        response_class=Response,
        responses={
            HTTPStatus.OK: {"model": ScoreAnswer, "description": "The scores, in request order."},
            **{status: {"model": ErrorAnswer, "description": text} for status, text in _REFUSALS.items()},
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}}},
            }
        },
    )
    async def score(request: Request) -> Response:
        deadline = time.monotonic() + settings.request_timeout_seconds
        champion = lineup.champion()
        body = await read_body(request, settings.max_body_bytes)
        rules = Rules.of(settings, champion.manifest)
        histories = read_score_request(body, rules, settings.max_sequences, datetime.now(UTC))
        _check_model(histories.model, champion)
        batch = encode(
            histories.event_types, histories.elapsed_minutes, champion.vocabulary, champion.manifest.max_events
        )
        scores = await champion.score(batch, deadline)
        answer = _answer(champion, histories, batch, scores)
        _count(batch, metrics)
        return Response(answer, media_type="application/json")

    return router


def _check_model(name: str | None, champion: LiveModel) -> None:
    served = champion.manifest.name
    if name is not None and name != served:
        message = f"Expected the model that is served here, {served!r}. Received: {name!r}."
        raise UnknownModelError(message, (Fault("/model", message),))


def _probabilities(scores: Scores) -> tuple[list[float], list[float]]:
    """Risks and auxiliary risks as an answer shows them.

    Raises:
        ModelFaultError: Some are no probabilities; NaN compares false to everything.
    """
    risks = np.concatenate((scores.risk, scores.auxiliary_risk), dtype=np.float64)
    if not (risks.min() >= 0 and risks.max() <= 1):
        raise ModelFaultError(
            "Expected probabilities from the model. Received: something else. The artifact is at fault."
        )
    shown = np.round(risks, _RISK_DECIMALS).tolist()
    return shown[: len(scores.risk)], shown[len(scores.risk) :]


def _count(batch: EncodedBatch, metrics: Metrics) -> None:
    metrics.sequences.inc(len(batch.events_used))
    metrics.unknown_events.inc(int(batch.unknown_events.sum()))
    metrics.truncated_events.inc(int(batch.events_truncated.sum()))


def _answer(champion: LiveModel, histories: Histories, batch: EncodedBatch, scores: Scores) -> bytes:
    rows = zip(
        histories.ids,
        *_probabilities(scores),
        batch.events_used.tolist(),
        batch.events_truncated.tolist(),
        batch.unknown_events.tolist(),
        strict=True,
    )
    return SCORE_ANSWER.dump_json(
        {
            "model": champion.manifest.name,
            "version": champion.manifest.version,
            "scores": [
                {
                    "id": sequence_id,
                    "risk": risk,
                    "auxiliary_risk": auxiliary_risk,
                    "events_used": events_used,
                    "events_truncated": events_truncated,
                    "unknown_events": unknown_events,
                }
                for sequence_id, risk, auxiliary_risk, events_used, events_truncated, unknown_events in rows
            ],
        }
    )
