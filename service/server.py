"""The HTTP server's life: from a signal to the end of the process.

Server            uvicorn, stopping in steps
EXIT_SIGNALLED    plus the number of a second signal: how the process then ends
"""

import math
import os
import signal
from collections.abc import Callable
from time import monotonic
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from service.lifecycle import Lifecycle
from service.settings import Settings

# As shells report a process that a signal ended.
EXIT_SIGNALLED = 128


class Server(uvicorn.Server):
    """Stops without losing a request.

    SIGTERM: not ready at once, and every answer asks its client to leave the connection; all are answered for a
    grace, so that traffic can move on; then nothing new is accepted, and what was accepted is finished. SIGINT, which
    a person sends, skips the grace. A second signal ends the process at once.

    Args:
        app: What answers.
        settings: The grace, and the longest time after it.
        lifecycle: Told when to stop.
        is_ready: Whether traffic comes here at all; if not, there is none to wait for.
    """

    def __init__(self, app: ASGIApp, settings: Settings, lifecycle: Lifecycle, is_ready: Callable[[], bool]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                log_config=None,
                access_log=False,
                server_header=False,
                # Nothing here depends on who asks.
                proxy_headers=False,
                timeout_graceful_shutdown=math.ceil(settings.drain_timeout_seconds),
            )
        )
        self._grace_seconds = settings.drain_grace_seconds
        self._lifecycle = lifecycle
        self._is_ready = is_ready
        self._close_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; uvicorn calls it on SIGINT and SIGTERM."""
        if self._lifecycle.is_stopping:
            os._exit(EXIT_SIGNALLED + sig)
        self._lifecycle.stop()
        has_grace = sig == signal.SIGTERM and self._is_ready()
        self._close_at = monotonic() + (self._grace_seconds if has_grace else 0)

    async def on_tick(self, counter: int) -> bool:
        """Whether to close now; uvicorn asks ten times a second."""
        return await super().on_tick(counter) or monotonic() >= self._close_at
