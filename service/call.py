"""One call of the model: whose rows it takes, as which arrays, and who gets which answer.

Request        one caller's sequences and their scores
Call           rows of one or more requests in the shape of a bucket
BatchReport    what a call was like
"""

import asyncio
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.sequences import UNKNOWN_ID, EncodedBatch
from service.buckets import Buckets

Rows = NDArray[np.intp]


@dataclass(slots=True, eq=False)
class Request:
    """One caller's sequences and their scores, in the caller's order.

    Attributes:
        batch: The sequences.
        since: When the request came, in seconds of `time.monotonic()`.
        deadline: When an answer is worth nothing any more, on the same clock.
        answer: True once every row is scored or `fault` is known, False at the deadline. Set on the event loop.
        risk: float32 (batch,), filled call by call.
        auxiliary_risk: float32 (batch,), filled call by call.
        num_unscored: Rows without a score.
        num_waiting: Rows in the line.
        fault: What the model did wrong with one of the rows.
    """

    batch: EncodedBatch
    since: float
    deadline: float
    answer: asyncio.Future[bool]
    risk: NDArray[np.float32]
    auxiliary_risk: NDArray[np.float32]
    num_unscored: int
    num_waiting: int = 0
    fault: Exception | None = None

    @classmethod
    def of(cls, batch: EncodedBatch, now: float, deadline: float | None) -> Self:
        """A request that came just now, to be answered on the running event loop."""
        num_rows = len(batch.events_used)
        return cls(
            batch=batch,
            since=now,
            deadline=math.inf if deadline is None else deadline,
            answer=asyncio.get_running_loop().create_future(),
            risk=np.empty(num_rows, np.float32),
            auxiliary_risk=np.empty(num_rows, np.float32),
            num_unscored=num_rows,
        )

    @property
    def is_timed(self) -> bool:
        """Whether it has a deadline."""
        return self.deadline < math.inf

    def is_over(self, now: float) -> bool:
        """Whether nobody waits for a score any more: too late, cancelled or failed."""
        return self.deadline <= now or self.answer.done() or self.fault is not None


@dataclass(frozen=True, slots=True)
class Call:
    """Rows of one or more requests in the shape (batch, time) of a bucket.

    Attributes:
        pieces: Rows of each request, one request after the other.
        num_rows: Rows in all, at most `batch`.
        batch: Sequences the model is given.
        time: Events each is padded to.
    """

    pieces: dict[Request, Rows]
    num_rows: int
    batch: int
    time: int

    @property
    def num_events(self) -> int:
        """Events of its rows."""
        return sum(int(request.batch.events_used[rows].sum()) for request, rows in self.pieces.items())

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Event ids int32 and elapsed minutes float32, both (batch, time), and the model's further inputs, if any.

        A row nobody asked for is one unknown event just now: a model never meets a sequence without events.
        """
        event_ids = np.zeros((self.batch, self.time), np.int32)
        elapsed_minutes = np.zeros((self.batch, self.time), np.float32)
        start = 0
        for request, rows in self.pieces.items():
            stop = start + len(rows)
            # The request may be padded to less than this call, or to more for the sake of its longer rows.
            width = min(self.time, request.batch.event_ids.shape[1])
            event_ids[start:stop, :width] = request.batch.event_ids.take(rows, axis=0)[:, :width]
            elapsed_minutes[start:stop, :width] = request.batch.elapsed_minutes.take(rows, axis=0)[:, :width]
            start = stop
        event_ids[start:, 0] = UNKNOWN_ID
        # A request without rows is in no call, and one model scores them all.
        further = next(iter(self.pieces)).batch.further
        if not further:
            return event_ids, elapsed_minutes
        return event_ids, elapsed_minutes, *(self._of_input(name, array) for name, array in further.items())

    def _of_input(self, name: str, of_first: NDArray[Any]) -> NDArray[Any]:
        """A further input of all rows, (batch, time) or (batch,), 0 in a row nobody asked for."""
        shape = (self.batch, self.time) if of_first.ndim == 2 else (self.batch,)
        array = np.zeros(shape, of_first.dtype)
        start = 0
        for request, rows in self.pieces.items():
            stop = start + len(rows)
            of_request = request.batch.further[name].take(rows, axis=0)
            if of_first.ndim == 2:
                width = min(self.time, of_request.shape[1])
                array[start:stop, :width] = of_request[:, :width]
            else:
                array[start:stop] = of_request
            start = stop
        return array

    def deliver(self, risk: NDArray[np.float32], auxiliary_risk: NDArray[np.float32]) -> dict[Request, Exception]:
        """Give each request its part of the model's answer.

        Returns:
            What is wrong with the answer, for each request with a row that got no probability.

        Raises:
            ValueError: The answer has another shape than (batch,), so nobody knows whose it is.
        """
        if risk.shape != (self.batch,) or auxiliary_risk.shape != (self.batch,):
            raise ValueError(
                f"Expected two answers of shape ({self.batch},) from the model. "
                f"Received: {risk.shape} and {auxiliary_risk.shape}."
            )
        # NaN compares false.
        is_right = (risk >= 0) & (risk <= 1) & (auxiliary_risk >= 0) & (auxiliary_risk <= 1)
        is_all_right = bool(is_right[: self.num_rows].all())
        faults: dict[Request, Exception] = {}
        start = 0
        for request, rows in self.pieces.items():
            stop = start + len(rows)
            request.risk[rows] = risk[start:stop]
            request.auxiliary_risk[rows] = auxiliary_risk[start:stop]
            if not is_all_right and not is_right[start:stop].all():
                wrong = start + int(is_right[start:stop].argmin())
                faults[request] = ValueError(
                    f"Expected a risk and an auxiliary risk from 0 to 1 for row {rows[wrong - start]}. "
                    f"Received: {risk[wrong]} and {auxiliary_risk[wrong]}."
                )
            start = stop
        return faults

    def alone(self, buckets: Buckets) -> list["Call"]:
        """The same rows in one call a request."""
        return [
            Call({request: rows}, len(rows), buckets.batch_for(len(rows), self.time), self.time)
            for request, rows in self.pieces.items()
        ]

    def is_over(self, now: float) -> bool:
        """Whether nobody waits for any of its scores any more."""
        return all(request.is_over(now) for request in self.pieces)


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a call was like.

    Attributes:
        rows: Sequences scored.
        batch: Sequences the model was given, padding included.
        time: Events each was padded to.
        events: Events that are not padding.
        longest_wait_seconds: From its first request's coming to the call.
        run_seconds: Time inside the model.
        failed: Whether the model raised, or answered in a wrong shape.
    """

    rows: int
    batch: int
    time: int
    events: int
    longest_wait_seconds: float
    run_seconds: float
    failed: bool

    @property
    def padding_ratio(self) -> float:
        """Share of the (batch, time) cells that hold no event."""
        return 1 - self.events / (self.batch * self.time)
