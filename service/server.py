"""The HTTP server's life: from a signal to the end of the process.

Server            uvicorn, stopping in steps
EXIT_SIGNALLED    plus the number of a second signal: how the process then ends
ECHO_SECONDS      how soon after the first the same signal is no second one
"""

import logging
import math
import os
import signal
import socket
import ssl
from collections.abc import Callable
from time import monotonic
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from service.connection import Connection
from service.lifecycle import Lifecycle
from service.settings import Settings

# As shells report a process that a signal ended.
EXIT_SIGNALLED = 128

# The same signal again within this time is the first one's echo.
ECHO_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Stops without losing a request.

    SIGTERM: not ready at once, and every answer asks its client to leave the connection; all are answered for a
    grace, so that traffic can move on; then nothing new is accepted, and what was accepted is finished. SIGINT, which
    a person sends, skips the grace. A second signal ends the process at once, unless it is the first one's echo.

    Args:
        app: What answers.
        settings: The grace, and the longest time after it.
        lifecycle: Told when to stop, and when the port closes.
        is_ready: Whether traffic comes here at all; if not, there is none to wait for.
        tls: For connections to be encrypted with; None to answer in plain.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        lifecycle: Lifecycle,
        is_ready: Callable[[], bool],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                # Nothing here depends on who asks.
                proxy_headers=False,
                # Longer than routers keep an idle connection: whoever closes first must not be the one asked next.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=math.ceil(settings.drain_timeout_seconds),
                ssl_context_factory=None if tls is None else lambda *_: tls,
            )
        )
        self._grace_seconds = settings.drain_grace_seconds
        self._limit_seconds = settings.drain_timeout_seconds
        self._lifecycle = lifecycle
        self._is_ready = is_ready
        self._close_at = math.inf
        self._told_by = 0
        self._told_at = -math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; uvicorn calls it on SIGINT and SIGTERM."""
        if self._lifecycle.is_stopping:
            # A signal to a process group comes twice if the parent, as make does, passes its own on.
            if sig == self._told_by and monotonic() < self._told_at + ECHO_SECONDS:
                return
            os._exit(EXIT_SIGNALLED + sig)
        self._told_by, self._told_at = sig, monotonic()
        self._lifecycle.stop()
        grace_seconds = self._grace_seconds if sig == signal.SIGTERM and self._is_ready() else 0
        self._close_at = self._told_at + grace_seconds
        logger.info("Stopping: requests are answered for %g s more. Another signal ends it at once.", grace_seconds)

    async def on_tick(self, counter: int) -> bool:
        """Whether to close now; uvicorn asks ten times a second."""
        return await super().on_tick(counter) or monotonic() >= self._close_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and finish what was accepted; uvicorn calls it at the end of the grace."""
        # From here on one limit holds for requests, for gRPC and for the model.
        self._lifecycle.close(self._limit_seconds)
        await super().shutdown(sockets)
