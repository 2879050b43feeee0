"""What is served: its name and version, what it was trained for, and what a request may carry.

The same answer tells clients of TensorFlow Serving and of KServe what they ask at the same path.
"""

from http import HTTPStatus

from fastapi import APIRouter

from models.manifest import Manifest
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.protocols.short_ways import GuardedRouter
from service.schemas import ErrorAnswer, Limits, ModelAnswer, ModelDescription, ModelsAnswer, VersionAnswer
from service.settings import Settings
from service.tensorflow_serving_targets import CaselessRoute
from service.version_statuses import version_statuses


def create_router(settings: Settings, lineup: LineUp, lifecycle: Lifecycle) -> APIRouter:
    """The routes of the catalogue."""
    router = GuardedRouter(paths=["/v1/models"], prefix="/v1/models", tags=["models"], route_class=CaselessRoute)

    @router.get("", summary="Every served model")
    async def list_models() -> ModelsAnswer:
        name = lineup.name
        return ModelsAnswer(models=[] if name is None else [_describe(name, settings, lineup, lifecycle)])

    @router.get(
        "/{name}",
        summary="One served model",
        responses={
            HTTPStatus.NOT_FOUND: {"model": ErrorAnswer, "description": "Not served here."},
            HTTPStatus.SERVICE_UNAVAILABLE: {
                "model": ErrorAnswer,
                "description": "It is not known yet what is served.",
            },
        },
    )
    async def read_model(name: str) -> ModelAnswer:
        return _describe(name, settings, lineup, lifecycle)

    return router


def _describe(name: str, settings: Settings, lineup: LineUp, lifecycle: Lifecycle) -> ModelAnswer:
    status = lineup.status()
    return ModelAnswer(
        name=name,
        version=status.version,
        state=status.state,
        reason=status.reason,
        ready=status.state == "ready" and not lifecycle.is_stopping,
        model_version_status=version_statuses(lineup, name),
        versions=[
            VersionAnswer(version=told.version, state=told.state, reason=told.reason) for told in lineup.versions()
        ],
        limits=Limits(
            max_body_bytes=settings.max_body_bytes,
            max_sequences=settings.max_sequences,
            max_sequence_events=settings.max_sequence_events,
            max_clock_skew_seconds=settings.max_clock_skew_seconds,
            request_timeout_seconds=settings.request_timeout_seconds,
        ),
        description=None if status.manifest is None else _description(status.manifest),
    )


def _description(manifest: Manifest) -> ModelDescription:
    return ModelDescription(
        predicts=manifest.predicts,
        created_at=manifest.created_at,
        max_events=manifest.max_events,
        time_unit=manifest.time_unit,
        max_elapsed_minutes=manifest.max_elapsed_minutes,
        scores_between_events=manifest.scores_between_events,
        vocabulary_size=len(manifest.vocabulary),
        further_inputs=manifest.further_inputs,
        bands=manifest.bands,
        evaluation=manifest.evaluation,
    )
