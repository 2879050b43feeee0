"""Whether the process still wants traffic, and how long it goes on after that."""

import asyncio
import math
from time import monotonic


class Lifecycle:
    """Two switches: one is thrown when the server is told to stop, the other when it accepts nothing more.

    Between them lies the grace. From the second on, one limit holds for everybody who finishes what was accepted.

    Attributes:
        closed: Set with the second.
    """

    def __init__(self) -> None:
        self._is_stopping = False
        self._end_at = math.inf
        self.closed = asyncio.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether clients should go elsewhere; they are answered all the same."""
        return self._is_stopping

    @property
    def left_seconds(self) -> float:
        """How long what was accepted may still take; any time before `close`."""
        return max(0.0, self._end_at - monotonic())

    def stop(self) -> None:
        """Ask clients to go elsewhere from now on."""
        self._is_stopping = True

    def close(self, limit_seconds: float) -> None:
        """Accept nothing more from now on; all that was accepted has `limit_seconds`, whoever says it again."""
        self._end_at = min(self._end_at, monotonic() + limit_seconds)
        self.closed.set()
