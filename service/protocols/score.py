"""Our own protocol: event sequences in, risks out."""

import asyncio
from http import HTTPStatus
from operator import itemgetter
from time import monotonic

from fastapi import APIRouter, Request, Response
from pydantic import JsonValue
from pydantic_core import to_json

from service.access import read_body, read_deadline
from service.entrance import DirectRoute
from service.errors import Fault, UnknownModelError
from service.intake import Intake
from service.limits import charge
from service.lineup import LineUp
from service.live_model import LiveModel
from service.metrics import Metrics
from service.pair import Part
from service.reading import Reading
from service.schemas import ErrorAnswer, ScoreAnswer
from service.score_request import Histories
from service.scoring import count_scored, shown
from service.settings import Settings
from service.stay import Stay

# An answer of so many takes two milliseconds to write; beyond, a thread takes turns with the event loop.
_MANY = 1_000

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "Not JSON, or a header that means nothing.",
    HTTPStatus.NOT_FOUND: "The model asked for is not served here.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is compressed.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body breaks the schema, a limit or an event-time rule.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The model or the service is at fault.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not ready or overloaded; `Retry-After` says when to try again.",
    HTTPStatus.GATEWAY_TIMEOUT: "The time ran out.",
}


def create_router(settings: Settings, lineup: LineUp, metrics: Metrics, intake: Intake, reading: Reading) -> APIRouter:
    """The route that scores.

    It reads and answers bytes: FastAPI's own body and response models would each be one more pass over the data.
    """
    router = APIRouter(tags=["scores"], route_class=DirectRoute)
    observe_read, observe_validate, observe_respond = (
        metrics.stage_seconds.labels(stage).observe for stage in ("read", "validate", "respond")
    )

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
        arrived_at = monotonic()
        headers = dict(request.scope["headers"])
        deadline = read_deadline(headers, settings.request_timeout_seconds, arrived_at)
        # Refused before its body is read.
        lineup.champion()
        intake.refuse_if_full()
        with Stay(request.receive, deadline) as stay:
            with intake.arriving() as count:
                body = await read_body(request.receive, headers, settings.max_body_bytes, count)
            stay.body_has_come()
            read_at = monotonic()
            observe_read(read_at - arrived_at)
            with lineup.pair() as pair:
                histories, batch = await reading.read(body, pair.champion, deadline)
                _check_model(histories.model, pair.champion)
                charge(len(batch.events_used))
                observe_validate(monotonic() - read_at)
                parts = await pair.score(histories, batch, deadline)
        scored_at = monotonic()
        if len(histories.ids) > _MANY:
            content = await asyncio.to_thread(_answer, histories, parts)
        else:
            content = _answer(histories, parts)
        response = Response(content, media_type="application/json")
        for part in parts:
            count_scored(part.batch, metrics)
        observe_respond(monotonic() - scored_at)
        return response

    return router


def _check_model(name: str | None, champion: LiveModel) -> None:
    served = champion.manifest.name
    if name is not None and name != served:
        message = f"Expected the model that is served here, {served!r}. Received: {name!r}."
        raise UnknownModelError(message, (Fault("/model", message),))


def _answer(histories: Histories, parts: list[Part]) -> bytes:
    scores = [score for part in parts for score in _scores(histories, part)]
    if len(parts) > 1:
        versions = [part.manifest.version for part in parts for _ in part.places]
        places = [place for part in parts for place in part.places]
        named = zip(places, versions, scores, strict=True)
        scores = [score | {"version": version} for _, version, score in sorted(named, key=itemgetter(0))]
    manifest = parts[0].manifest
    return to_json({"model": manifest.name, "version": manifest.version, "scores": scores})


def _scores(histories: Histories, part: Part) -> list[dict[str, JsonValue]]:
    rows = zip(
        (histories.ids[place] for place in part.places),
        shown(part.scores.risk),
        shown(part.scores.auxiliary_risk),
        part.batch.events_used.tolist(),
        part.batch.events_truncated.tolist(),
        part.batch.unknown_events.tolist(),
        strict=True,
    )
    return [
        {
            "id": sequence_id,
            "risk": risk,
            "auxiliary_risk": auxiliary_risk,
            "events_used": events_used,
            "events_truncated": events_truncated,
            "unknown_events": unknown_events,
        }
        for sequence_id, risk, auxiliary_risk, events_used, events_truncated, unknown_events in rows
    ]
