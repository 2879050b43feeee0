"""The order in which bodies that have come are turned into arrays: some at a time, and not too many behind them."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from service.errors import DeadlineExceededError, OverloadedError

# What a request costs however small it is, as bytes of body that take as long.
SMALLEST_BYTES = 8_000
# About two milliseconds of work, after which the event loop must look at its sockets again.
SLICE_BYTES = 64_000


class Intake:
    """Lets requests do their share of work on the event loop in order of arrival, a slice at a time.

    Without it, a loop that has a thousand bodies to read would read them all before it answered a probe, or told
    anyone that there are too many.

    Args:
        max_waiting_bytes: Of bodies, how much may wait for its turn.
    """

    def __init__(self, max_waiting_bytes: int) -> None:
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._slice_bytes = SLICE_BYTES
        self._is_next_slice_due = False

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the bodies that wait for their turn, small ones counted as `SMALLEST_BYTES`."""
        return self._waiting_bytes

    def refuse_if_full(self) -> None:
        """Refuse a request before its body is read, if bodies enough are waiting.

        Raises:
            OverloadedError: The limit is reached.
        """
        if self._waiting_bytes >= self._max_waiting_bytes:
            raise OverloadedError(
                f"Expected at most {self._max_waiting_bytes} bytes of requests to wait. Received: more. Try later."
            )

    async def turn(self, num_bytes: int, deadline: float) -> None:
        """Wait until a body of `num_bytes` may be worked on, which in an idle service is at once.

        Args:
            num_bytes: Its length.
            deadline: When to give up, in seconds of `time.monotonic()`.

        Raises:
            OverloadedError: Too much is waiting already.
            DeadlineExceededError: Its turn has not come in time.
        """
        self.refuse_if_full()
        cost = max(num_bytes, SMALLEST_BYTES)
        if self._slice_bytes > 0 and not self._waiting:
            self._begin(cost)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, cost))
        self._waiting_bytes += cost
        try:
            async with asyncio.timeout(deadline - monotonic()):
                await turn
        except TimeoutError as error:
            raise DeadlineExceededError(
                "Expected the request's turn to come before its deadline. Received: others before it. Try again later."
            ) from error

    @contextmanager
    def held(self, num_bytes: int) -> Iterator[None]:
        """Count a body as waiting while somebody else works on it.

        Raises:
            OverloadedError: Too much is waiting already.
        """
        self.refuse_if_full()
        self._waiting_bytes += num_bytes
        try:
            yield
        finally:
            self._waiting_bytes -= num_bytes

    def _begin(self, cost: int) -> None:
        self._slice_bytes -= cost
        if not self._is_next_slice_due:
            self._is_next_slice_due = True
            # Runs in the loop's next round, so after it has looked at its sockets.
            asyncio.get_running_loop().call_soon(self._next_slice)

    def _next_slice(self) -> None:
        self._is_next_slice_due = False
        self._slice_bytes = SLICE_BYTES
        while self._waiting and self._slice_bytes > 0:
            turn, cost = self._waiting.popleft()
            self._waiting_bytes -= cost
            # Else its client has gone, or its time has run out.
            if not turn.done():
                self._begin(cost)
                turn.set_result(None)
