"""The Open Inference Protocol, version 2, over gRPC: `inference.GRPCInferenceService` on a port of its own.

Its messages are those that tritonclient ships, which is an extra of this package.
"""

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from time import perf_counter

import grpc
from google.protobuf.message import Message

from service.entrance import unexpected
from service.errors import ServiceError
from service.guard import Admission, Guard
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.logs import REQUEST_ID
from service.metrics import Metrics
from service.open_inference_messages import parse
from service.protocols.grpc_methods import Context, GrpcMethods, Method
from service.protocols.grpc_refusals import refuse
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
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._guard = guard
        self._request_ids = RequestIds()
        self._methods = GrpcMethods(settings, lineup, metrics=metrics, lifecycle=lifecycle, scoring=scoring)
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
        # As bytes: gRPC itself would fail over what is no message.
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    partial(self._answer, f"/{_SERVICE}/{name}", method),
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, method in self._methods.by_name().items()
            },
        )

    async def _answer(self, route: str, method: Method, body: bytes, context: Context) -> Message:
        """Respond, or refuse in gRPC's words; count either."""
        started_at = perf_counter()
        status = HTTPStatus.OK
        admission: Admission | None = None
        headers = [*_headers(context)]
        request_id = self._request_ids.of(headers).decode()
        REQUEST_ID.set(request_id)
        context.set_trailing_metadata(((_REQUEST_ID, request_id),))
        try:
            if self._guard is not None and not method.is_open:
                admission = self._guard.admit(headers, "score")
            return await method.respond(body if method.request is None else parse(body, method.request), context)
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
        try:
            await refuse(context, refusal, ((_REQUEST_ID, request_id),))
            raise refusal  # Never reached: refusing raises what gRPC waits for.
        finally:
            # It knows the frames it passed, and this one's message: in a cycle they would stay.
            del refusal


def max_calls(settings: Settings) -> int:
    """Calls answered at once; each has a message that may be as long as a body may be, and a sequence at least."""
    num_largest = -(-settings.max_waiting_bytes // settings.max_body_bytes)
    return min(num_largest + _SMALL_CALLS, settings.max_waiting_sequences)


def _headers(context: Context) -> Iterator[tuple[bytes, bytes]]:
    for name, value in context.invocation_metadata() or ():
        yield name.encode(), value if isinstance(value, bytes) else value.encode()
