"""A request's stay: how long its body may take to come, and whether its client is still there."""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Self

from starlette.types import Receive

from service.errors import ClientGoneError, ServiceError, SlowBodyError

# Most answers are sooner; only those that are not pay for watching.
PATIENCE_SECONDS = 0.1


class Stay:
    """A block that is left early: at the deadline while the body comes, and after that as soon as the client goes.

    It costs a timer; `asyncio.timeout` and a task that watches each connection would cost ten times as much.

    Args:
        receive: What the server says next of the request.
        deadline: When the body must have come, in seconds of `time.monotonic()`.

    Raises:
        SlowBodyError: It has not.
        ClientGoneError: The client closed the connection before it was answered.
    """

    def __init__(self, receive: Receive, deadline: float) -> None:
        self._receive = receive
        self._deadline = deadline
        self._has_body = False
        self._reason: ServiceError | None = None
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Expected to run in a task, which could be cancelled. Received: none.")
        self._task = task
        self._loop = task.get_loop()
        self._timer = self._loop.call_later(PATIENCE_SECONDS, self._look)
        return self

    def body_has_come(self) -> None:
        """The whole body is here: from now on, the server's next message can only be that the client has gone."""
        self._has_body = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            # A cancelled task keeps its frames, and they this stay: a cycle, which only the collector would end.
            self._watcher = None
        reason, self._reason = self._reason, None
        if reason is not None and kind is asyncio.CancelledError:
            self._task.uncancel()
            try:
                raise reason
            finally:
                # What is raised knows the frames it passes, and a body in one of them: in a cycle they would stay.
                del reason

    def _look(self) -> None:
        """Called now and then while the stay lasts."""
        left_seconds = self._deadline - monotonic()
        if self._has_body:
            self._watcher = self._loop.create_task(self._watch())
        elif left_seconds > 0:
            self._timer = self._loop.call_later(min(PATIENCE_SECONDS, left_seconds), self._look)
        else:
            self._leave(
                SlowBodyError(
                    "Expected a whole body before the request's deadline. Received: a part of it. "
                    "Allow more time, or send less at once."
                )
            )

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave(ClientGoneError("Expected a client that waits for its answer. Received: a closed connection."))

    def _leave(self, reason: ServiceError) -> None:
        self._reason = reason
        self._task.cancel()
