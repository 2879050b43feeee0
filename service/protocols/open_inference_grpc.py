"""The Open Inference Protocol, version 2, over gRPC: `inference.GRPCInferenceService` on a port of its own.

Its messages are those that tritonclient ships, which is an extra of this package.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from http import HTTPStatus
from time import monotonic, perf_counter
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2

from service.entrance import unexpected
from service.errors import NotReadyError, ServiceError
from service.guard import Admission, Guard
from service.inference import Inferences
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.logs import REQUEST_ID
from service.metrics import Metrics
from service.open_inference_catalogue import Asked, Catalogue
from service.open_inference_envelope import read_asked
from service.open_inference_messages import as_message, asked_of, parse, read_bytes, write_message
from service.protocols.grpc_refusals import refuse
from service.protocols.open_inference_models import model_control_is_off
from service.protocols.probes import check_ready
from service.refusals import count_refusal
from service.request_ids import RequestIds
from service.scoring import Scoring
from service.settings import Settings, SettingsError
from service.tls import Tls

_SERVICE = "inference.GRPCInferenceService"
# Of metadata: a request's as it comes, and of its answer.
_REQUEST_ID = "x-request-id"
# Calls at once beside as many of the largest as may wait: until a message is there, nobody can tell its size.
_SMALL_CALLS = 128

Context: TypeAlias = grpc.aio.ServicerContext
Respond = Callable[[Any, Context], Awaitable[Message]]

logger = logging.getLogger(__name__)


class GrpcServer:
    """The protocol's server; it lives in the event loop it is made in.

    Args:
        settings: Host, port and limits.
        lineup: The versions.
        metrics: Where requests are counted, as those of HTTP, which they are.
        lifecycle: Says when the process is to stop.
        scoring: Scores.
        guard: Says who is let in; None for everybody.
        tls: Certificate and key; None to answer in plain.

    Attributes:
        port: Where it listens.

    Raises:
        SettingsError: The port is taken.
    """

    def __init__(
        self,
        settings: Settings,
        lineup: LineUp,
        *,
        metrics: Metrics,
        lifecycle: Lifecycle,
        scoring: Scoring,
        guard: Guard | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._settings = settings
        self._lineup = lineup
        self._metrics = metrics
        self._observe_respond = metrics.stage_seconds.labels("respond").observe
        self._lifecycle = lifecycle
        self._scoring = scoring
        self._guard = guard
        # As probes of HTTP, these need no key.
        self._open = (self._is_live, self._is_ready, self._is_model_ready)
        self._catalogue = Catalogue(settings, lineup)
        self._inferences = Inferences(lineup, self._catalogue)
        self._request_ids = RequestIds()
        self._server = grpc.aio.server(
            handlers=[self._handler()],
            options=[
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                # Else a port that somebody else listens on would be shared with them.
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=max_calls(settings),
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            self.port = self._listen(f"{host}:{settings.grpc_port}", tls)
        except RuntimeError as error:
            raise SettingsError(
                f"Cannot listen on {host}:{settings.grpc_port} (SEQRISK_HOST, SEQRISK_GRPC_PORT). Is the port taken?"
            ) from error

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()
        self._closing = asyncio.create_task(self._close())
        logger.info("gRPC is answered on %s, port %d.", self._settings.host, self.port)

    async def stop(self) -> None:
        """Accept nothing more and finish what was accepted, within what is left of the time that settings give."""
        self._lifecycle.close(self._settings.drain_timeout_seconds)
        await self._closing

    async def _close(self) -> None:
        """As soon as HTTP accepts nothing more."""
        await self._lifecycle.closed.wait()
        await self._server.stop(self._lifecycle.left_seconds)

    def _listen(self, address: str, tls: Tls | None) -> int:
        if tls is None:
            return int(self._server.add_insecure_port(address))
        credentials = grpc.ssl_server_credentials([(tls.key, tls.certificate)])
        return int(self._server.add_secure_port(address, credentials))

    def _handler(self) -> grpc.GenericRpcHandler:
        # As bytes: gRPC itself would fail over what is no message. One to infer may be large, and then waits to be read
        # as bodies of HTTP do.
        answers: dict[str, tuple[type[Message] | None, Respond]] = {
            "ServerLive": (service_pb2.ServerLiveRequest, self._is_live),
            "ServerReady": (service_pb2.ServerReadyRequest, self._is_ready),
            "ModelReady": (service_pb2.ModelReadyRequest, self._is_model_ready),
            "ServerMetadata": (service_pb2.ServerMetadataRequest, self._read_server),
            "ModelMetadata": (service_pb2.ModelMetadataRequest, self._read_model),
            "ModelConfig": (service_pb2.ModelConfigRequest, self._read_config),
            "ModelStatistics": (service_pb2.ModelStatisticsRequest, self._read_statistics),
            "ModelInfer": (None, self._infer),
            "RepositoryIndex": (service_pb2.RepositoryIndexRequest, self._read_index),
            "RepositoryModelLoad": (service_pb2.RepositoryModelLoadRequest, self._refuse),
            "RepositoryModelUnload": (service_pb2.RepositoryModelUnloadRequest, self._refuse),
        }
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    partial(self._answer, f"/{_SERVICE}/{name}", request, respond),
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, (request, respond) in answers.items()
            },
        )

    async def _answer(
        self, route: str, expected: type[Message] | None, respond: Respond, body: bytes, context: Context
    ) -> Message:
        """Respond, or refuse in gRPC's words; count either."""
        started_at = perf_counter()
        status = HTTPStatus.OK
        admission: Admission | None = None
        headers = [*_headers(context)]
        request_id = self._request_ids.of(headers).decode()
        REQUEST_ID.set(request_id)
        context.set_trailing_metadata(((_REQUEST_ID, request_id),))
        try:
            if self._guard is not None and respond not in self._open:
                admission = self._guard.admit(headers, "score")
            return await respond(body if expected is None else parse(body, expected), context)
        except ServiceError as error:
            status = error.status
            refusal = error
        except Exception:
            logger.exception("The service failed over a request to %s.", route)
            refusal = unexpected()
            status = refusal.status
        except asyncio.CancelledError:
            # Its client has gone, or its time has run out.
            status = HTTPStatus.BAD_REQUEST
            raise
        finally:
            if admission is not None:
                admission.leave()
            self._metrics.requests.labels(route, "POST", f"{status // 100}xx").inc()
            self._metrics.request_seconds.labels(route).observe(perf_counter() - started_at)
        count_refusal(self._metrics, route, refusal)
        await refuse(context, refusal, ((_REQUEST_ID, request_id),))
        raise refusal  # Never reached: refusing raises what gRPC waits for.

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


def max_calls(settings: Settings) -> int:
    """Calls answered at once; each has a message that may be as long as a body may be, and a sequence at least."""
    num_largest = -(-settings.max_waiting_bytes // settings.max_body_bytes)
    return min(num_largest + _SMALL_CALLS, settings.max_waiting_sequences)


def _headers(context: Context) -> Iterator[tuple[bytes, bytes]]:
    for name, value in context.invocation_metadata() or ():
        yield name.encode(), value if isinstance(value, bytes) else value.encode()
