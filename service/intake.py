"""The order in which bodies that have come are turned into arrays: some at a time, and not too many behind them."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from service.errors import DeadlineExceededError, OverloadedError

# What a request costs beside its bytes, as bytes that take as long.
REQUEST_BYTES = 1_000
# About one millisecond of work, after which the event loop must look at its sockets again.
SLICE_BYTES = 8_000

_LOOK_AGAIN_SECONDS = 0.001


@dataclass(slots=True)
class _Turn:
    """A body in line.

    Attributes:
        num_bytes: Its length.
        since: When it joined, in seconds of `time.monotonic()`.
        begun_before: What had been begun then, each request counted as `REQUEST_BYTES` more than its length.
    """

    num_bytes: int
    since: float
    begun_before: int


def _ignore(_: float) -> None:
    pass


class Intake:
    """Lets requests do their share of work on the event loop in order of arrival, a slice at a time.

    Without it, a loop that has a thousand bodies to read would read them all before it answered a probe, or told
    anyone that there are too many.

    A burst may stand in line, for as long as memory allows. Once there has been a line for `max_turn_seconds`, only
    those join it whose turn would come within that time, at the pace of those before them: so under lasting overload
    the line stays as long as that, neither growing nor running dry. If it does not move, nobody joins it.

    Args:
        max_waiting_bytes: Of bodies, how much may wait: what memory allows.
        max_turn_seconds: How long a line may last before it is kept short, and how short that is.
        is_model_busy: Whether so much waits for the model that no more should be turned into arrays for now.
        observe: Told how many seconds each turn has been waited for, 0 included.
    """

    def __init__(
        self,
        max_waiting_bytes: int,
        max_turn_seconds: float,
        is_model_busy: Callable[[], bool],
        observe: Callable[[float], None] = _ignore,
    ) -> None:
        self._max_waiting_bytes = max_waiting_bytes
        self._max_turn_seconds = max_turn_seconds
        self._is_model_busy = is_model_busy
        self._observe = observe
        self._waiting_bytes = 0
        # By what is done when the turn has come, or when nobody waits for that any more.
        self._waiting = OrderedDict[asyncio.Future[None], _Turn]()
        self._line_bytes = self._begun_bytes = 0
        self._line_since = math.inf
        self._moved_at = -math.inf
        self._seconds_a_byte = 0.0
        self._slice_bytes = SLICE_BYTES
        self._is_next_slice_due = False

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the bodies that wait."""
        return self._waiting_bytes

    def refuse_if_full(self) -> None:
        """Refuse a request before its body is read, if too much is waiting.

        Raises:
            OverloadedError: A limit is reached.
        """
        if self._waiting_bytes >= self._max_waiting_bytes:
            raise OverloadedError(
                f"Expected at most {self._max_waiting_bytes} bytes of requests to wait. Received: more. Try later.",
                "waiting_bytes",
            )
        if self._is_line_too_long():
            raise OverloadedError(
                f"Expected requests to wait at most {self._max_turn_seconds:g} s for their turn. "
                "Received: a line of others that takes longer. Try later.",
                "turn",
            )

    @contextmanager
    def arriving(self) -> Iterator[Callable[[int], None]]:
        """Count a body while it arrives: what is yielded takes the bytes of each piece.

        Raises:
            OverloadedError: From what is yielded, once the pieces of all bodies reach the limit.
        """
        arrived_bytes = 0

        def count(num_bytes: int) -> None:
            nonlocal arrived_bytes
            arrived_bytes += num_bytes
            self._waiting_bytes += num_bytes
            if self._waiting_bytes > self._max_waiting_bytes:
                self.refuse_if_full()

        try:
            yield count
        finally:
            self._waiting_bytes -= arrived_bytes

    async def turn(self, num_bytes: int, deadline: float) -> None:
        """Wait until a body of `num_bytes` may be worked on, which in an idle service is at once.

        Args:
            num_bytes: Its length.
            deadline: When to give up, in seconds of `time.monotonic()`.

        Raises:
            OverloadedError: Too much is waiting already.
            DeadlineExceededError: Its turn has not come in time.
        """
        if self._slice_bytes > 0 and not self._waiting and not self._is_model_busy():
            self._begin(num_bytes)
            self._observe(0.0)
            return
        self.refuse_if_full()
        now = monotonic()
        turn = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._line_since = self._moved_at = now
        self._waiting[turn] = _Turn(num_bytes, now, self._begun_bytes)
        self._line_bytes += num_bytes + REQUEST_BYTES
        self._waiting_bytes += num_bytes
        self._plan_next_slice()
        try:
            async with asyncio.timeout(deadline - now):
                await turn
        except TimeoutError as error:
            raise DeadlineExceededError(
                "Expected the request's turn to come before its deadline. Received: others before it. Try again later."
            ) from error
        finally:
            # Its client may have gone, or its time run out.
            if turn in self._waiting:
                self._leave_line(turn)
            self._observe(monotonic() - now)

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

    def _is_line_too_long(self) -> bool:
        now = monotonic()
        if not self._waiting or now - self._line_since <= self._max_turn_seconds:
            return False
        is_at_rest = now - self._moved_at > self._max_turn_seconds
        return is_at_rest or self._line_bytes * self._seconds_a_byte > self._max_turn_seconds

    def _leave_line(self, turn: asyncio.Future[None]) -> _Turn:
        left = self._waiting.pop(turn)
        self._line_bytes -= left.num_bytes + REQUEST_BYTES
        self._waiting_bytes -= left.num_bytes
        return left

    def _begin(self, num_bytes: int) -> None:
        self._slice_bytes -= num_bytes + REQUEST_BYTES
        self._begun_bytes += num_bytes + REQUEST_BYTES
        self._plan_next_slice()

    def _plan_next_slice(self) -> None:
        if self._is_next_slice_due:
            return
        self._is_next_slice_due = True
        loop = asyncio.get_running_loop()
        if self._is_model_busy():
            loop.call_later(_LOOK_AGAIN_SECONDS, self._next_slice)
        else:
            # Runs in the loop's next round, so after it has looked at its sockets.
            loop.call_soon(self._next_slice)

    def _next_slice(self) -> None:
        self._is_next_slice_due = False
        is_overdrawn = self._slice_bytes < -SLICE_BYTES
        # A round that a long body took is followed by one for those who came meanwhile: most are refused in no time.
        self._slice_bytes = 0 if is_overdrawn else SLICE_BYTES
        if is_overdrawn or (self._waiting and self._is_model_busy()):
            self._plan_next_slice()
            return
        now = monotonic()
        while self._waiting and self._slice_bytes > 0:
            turn = next(iter(self._waiting))
            first = self._leave_line(turn)
            # Else it is about to leave by itself.
            if not turn.done():
                self._moved_at = now
                self._begin(first.num_bytes)
                self._seconds_a_byte = (now - first.since) / (self._begun_bytes - first.begun_before)
                turn.set_result(None)
