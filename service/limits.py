"""What the owner of a key may use: sequences a second, and requests at a time.

Allowance    of one key
charge       take what the request at hand costs
ALLOWANCE    of the request at hand; None if it needs no key
"""

import math
from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic

from service.key_errors import ConcurrencyLimitedError, RateLimitedError


class Allowance:
    """A token bucket of sequences, one second's worth and at least one, and a count of requests.

    A request is let in while the bucket holds a sequence, which it takes; the others it takes once they are known, even
    if the bucket then owes some. So a large request passes whole, and whoever sends them waits for the debt: over time
    the rate is kept to the sequence, and no request is larger than the bucket allows.

    Args:
        sequences_per_second: The rate; None for any.
        max_concurrent_requests: The most at a time; None for any number.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        sequences_per_second: float | None,
        max_concurrent_requests: int | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._rate = sequences_per_second
        self._max_requests = max_concurrent_requests
        self._clock = clock
        self._num_requests = 0
        self._capacity = max(1.0, sequences_per_second or 0.0)
        self._num_left = self._capacity
        self._counted_at = clock()

    def enter(self) -> None:
        """Let a request in; whoever it is tells by `leave` when it goes.

        Raises:
            ConcurrencyLimitedError: Enough are inside.
            RateLimitedError: The rate is reached; the error says when to come again.
        """
        if self._max_requests is not None and self._num_requests >= self._max_requests:
            raise ConcurrencyLimitedError(
                f"Expected at most {self._max_requests} requests at a time with this key. Received: one more. "
                "Wait for an answer first."
            )
        if self._rate is not None:
            self._take(1, self._rate, least=1)
        self._num_requests += 1

    def leave(self) -> None:
        """A request has been answered."""
        self._num_requests -= 1

    def take_more(self, num_sequences: int) -> None:
        """Take what a request costs beyond its first sequence.

        Raises:
            RateLimitedError: Others have left a debt since it was let in.
        """
        if self._rate is not None and num_sequences > 0:
            self._take(num_sequences, self._rate, least=0)

    def _take(self, num_sequences: int, rate: float, least: int) -> None:
        now = self._clock()
        self._num_left = min(self._capacity, self._num_left + (now - self._counted_at) * rate)
        self._counted_at = now
        if self._num_left < least:
            raise self._refusal(rate)
        self._num_left -= num_sequences

    # Made elsewhere than it is raised: a frame that knows what passes it would be in a cycle, and a body with it.
    def _refusal(self, rate: float) -> RateLimitedError:
        refusal = RateLimitedError(
            f"Expected at most {rate:g} sequences a second with this key. Received: more. Try later."
        )
        refusal.retry_after_seconds = max(1, math.ceil((1 - self._num_left) / rate))
        return refusal


ALLOWANCE: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


def charge(num_sequences: int) -> None:
    """Take the sequences of the request at hand from the allowance of its key, if it has one.

    Raises:
        RateLimitedError: Its rate is reached.
    """
    allowance = ALLOWANCE.get()
    if allowance is not None:
        allowance.take_more(num_sequences - 1)
