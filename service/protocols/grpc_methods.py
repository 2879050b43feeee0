"""The methods of `inference.GRPCInferenceService`: what each is asked, and what it answers.

Method         one of them
GrpcMethods    all of them
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2

from service.errors import NotReadyError
from service.inference import Inferences
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.open_inference_catalogue import Asked, Catalogue
from service.open_inference_envelope import read_asked
from service.open_inference_messages import as_message, asked_of, read_bytes, write_message
from service.protocols.open_inference_models import model_control_is_off
from service.protocols.probes import check_ready
from service.scoring import Scoring
from service.settings import Settings

Context: TypeAlias = grpc.aio.ServicerContext


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the service.

    Attributes:
        request: The class of the message it is asked; None if it takes the message's bytes.
        respond: Answers one, in its call's context, or raises a ServiceError.
        is_open: Whether it needs no key, as probes of HTTP.
    """

    request: type[Message] | None
    respond: Callable[[Any, Context], Awaitable[Message]]
    is_open: bool = False


class GrpcMethods:
    """What the service answers, not who may ask it nor how a refusal reads.

    Args:
        settings: Name of the model and limits.
        lineup: The versions.
        metrics: Where the time to write an answer is counted.
        lifecycle: Says when the process is to stop.
        scoring: Scores.
    """

    def __init__(
        self, settings: Settings, lineup: LineUp, *, metrics: Metrics, lifecycle: Lifecycle, scoring: Scoring
    ) -> None:
        self._settings = settings
        self._lineup = lineup
        self._observe_respond = metrics.stage_seconds.labels("respond").observe
        self._lifecycle = lifecycle
        self._scoring = scoring
        self._catalogue = Catalogue(settings, lineup)
        self._inferences = Inferences(lineup, self._catalogue)

    def by_name(self) -> dict[str, Method]:
        """Every method that is offered, by its name in the protocol."""
        return {
            "ServerLive": Method(service_pb2.ServerLiveRequest, self._is_live, is_open=True),
            "ServerReady": Method(service_pb2.ServerReadyRequest, self._is_ready, is_open=True),
            "ModelReady": Method(service_pb2.ModelReadyRequest, self._is_model_ready, is_open=True),
            "ServerMetadata": Method(service_pb2.ServerMetadataRequest, self._read_server),
            "ModelMetadata": Method(service_pb2.ModelMetadataRequest, self._read_model),
            "ModelConfig": Method(service_pb2.ModelConfigRequest, self._read_config),
            "ModelStatistics": Method(service_pb2.ModelStatisticsRequest, self._read_statistics),
            # Its message may be large, and then waits to be read as bodies of HTTP do.
            "ModelInfer": Method(None, self._infer),
            "RepositoryIndex": Method(service_pb2.RepositoryIndexRequest, self._read_index),
            "RepositoryModelLoad": Method(service_pb2.RepositoryModelLoadRequest, self._refuse),
            "RepositoryModelUnload": Method(service_pb2.RepositoryModelUnloadRequest, self._refuse),
        }

    async def _is_live(self, _: Message, __: Context) -> Message:
        return service_pb2.ServerLiveResponse(live=True)

    async def _is_ready(self, _: Message, __: Context) -> Message:
        try:
            check_ready(self._lineup, self._lifecycle)
        except NotReadyError:
            return service_pb2.ServerReadyResponse(ready=False)
        return service_pb2.ServerReadyResponse(ready=True)

    async def _is_model_ready(self, request: service_pb2.ModelReadyRequest, _: Context) -> Message:
        try:
            self._catalogue.find(asked_of(request))
            check_ready(self._lineup, self._lifecycle)
        except NotReadyError:
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=True)

    async def _read_server(self, _: Message, __: Context) -> Message:
        return as_message(self._catalogue.server().model_dump(), service_pb2.ServerMetadataResponse())

    async def _read_model(self, request: service_pb2.ModelMetadataRequest, _: Context) -> Message:
        return as_message(self._catalogue.model(asked_of(request)).model_dump(), service_pb2.ModelMetadataResponse())

    async def _read_config(self, request: service_pb2.ModelConfigRequest, _: Context) -> Message:
        config = self._catalogue.config(asked_of(request))
        return as_message({"config": config.model_dump()}, service_pb2.ModelConfigResponse())

    async def _read_statistics(self, request: service_pb2.ModelStatisticsRequest, _: Context) -> Message:
        # Without a name, those of every model.
        statistics = self._catalogue.statistics(asked_of(request) if request.name else None)
        return as_message(statistics.model_dump(), service_pb2.ModelStatisticsResponse())

    async def _read_index(self, request: service_pb2.RepositoryIndexRequest, _: Context) -> Message:
        entries = self._catalogue.index(only_ready=request.ready)
        models = [entry.model_dump() for entry in entries]
        return as_message({"models": models}, service_pb2.RepositoryIndexResponse())

    async def _refuse(self, _: Message, __: Context) -> Message:
        raise model_control_is_off()

    async def _infer(self, message: bytes, context: Context) -> Message:
        asked = read_asked(message)
        with self._inferences.counted(asked):
            return await self._score(asked, message, context)

    async def _score(self, asked: Asked, message: bytes, context: Context) -> Message:
        """As `Scoring.answer`, without HTTP."""
        deadline = monotonic() + self._settings.request_timeout_seconds
        if (seconds := context.time_remaining()) is not None:
            deadline = min(deadline, monotonic() + seconds)
        self._scoring.refuse_if_full()
        with self._inferences.pair(asked) as pair:
            came_at = monotonic()
            parse = partial(read_bytes, further=pair.champion.manifest.further_inputs)
            read = await self._scoring.read(message, parse, deadline)
            if read.timeout_seconds is not None:
                deadline = min(deadline, monotonic() + read.timeout_seconds)
            part = await self._scoring.score(read.tensors, pair, deadline, since=came_at, num_bytes=len(message))
        scored_at = monotonic()
        answer = write_message(read, part)
        self._observe_respond(monotonic() - scored_at)
        return answer
