"""Continuous batching: a request runs at once when a slot is idle; while all are busy, requests gather.

What a call takes less time for than handing it to a slot would cost everyone, the event loop runs itself.

Scores     the answer to one request
Batcher    many callers, a few slots, one model
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from models.sequences import EncodedBatch
from service.buckets import Buckets
from service.call import BatchReport, Call, Request
from service.errors import DeadlineExceededError, ModelFaultError, OverloadedError
from service.slots import Settle, Slots
from service.waiting import WaitingLine

Run = Callable[..., tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Scores:
    """The answer to one request, in the order of its rows.

    Attributes:
        risk: float32 (batch,), from 0 to 1.
        auxiliary_risk: float32 (batch,), from 0 to 1.
    """

    risk: NDArray[np.float32]
    auxiliary_risk: NDArray[np.float32]


def _ignore(_: BatchReport) -> None:
    pass


def _do_nothing() -> None:
    pass


class Batcher:
    """Many callers, a few slots, one model.

    Slots make the calls. While few short sequences wait, the event loop makes one itself, as soon as it has nothing
    more to read.

    Args:
        run: The model: event ids int32 and elapsed minutes float32, both (batch, time) in exactly a bucket's shape, and
            the further inputs of `EncodedBatch` in their order, to risk and auxiliary risk, both float32 (batch,).
            Several slots call it side by side.
        buckets: The shapes `run` takes.
        slots: Calls made side by side.
        max_waiting_sequences: Sequences that may wait for a slot.
        quick_rows: For each of the buckets' times, how many sequences the model scores so quickly that the event loop
            may run it; by default none.
        observe: Told of every call, on the event loop.
    """

    def __init__(
        self,
        run: Run,
        *,
        buckets: Buckets,
        slots: int,
        max_waiting_sequences: int,
        quick_rows: Sequence[int] = (),
        observe: Callable[[BatchReport], None] = _ignore,
    ) -> None:
        self._run = run
        self._buckets = buckets
        self._max_waiting_sequences = max_waiting_sequences
        self._quick_rows = quick_rows or [0] * len(buckets.times)
        self._is_turn_due = False
        self._observe = observe
        # The lock guards the line and what requests count.
        self._lock = threading.Lock()
        self._line = WaitingLine(buckets)
        self._is_draining = False
        self._slots = Slots(slots, line=self._line, lock=self._lock, make=self._make, settle=self._settle)

    @property
    def num_waiting(self) -> int:
        """Sequences waiting for a slot."""
        return self._line.num_waiting

    async def score(self, batch: EncodedBatch, deadline: float | None = None) -> Scores:
        """Score every row of `batch`. Cancelled, it leaves the line.

        Args:
            batch: Sequences, none longer than the longest bucket.
            deadline: When to give up, in seconds of `time.monotonic()`; by default never.

        Raises:
            OverloadedError: Too many sequences wait already, or the batcher is being drained.
            DeadlineExceededError: The deadline has passed; rows that were still waiting never reach the model.
            ModelFaultError: The model failed on one of the rows.
        """
        now = monotonic()
        if deadline is not None and deadline <= now:
            raise _too_late()
        request = Request.of(batch, now, deadline)
        if request.num_unscored:
            await self._answer(request)
        return Scores(request.risk, request.auxiliary_risk)

    async def drain(self) -> None:
        """Refuse new requests, answer every accepted one, then end the slots."""
        self._is_draining = True
        await self._slots.end()

    async def _answer(self, request: Request) -> None:
        self._accept(request)
        loop = asyncio.get_running_loop()
        # Not call_at: an event loop's own clock may be coarser than the deadline's.
        timer = loop.call_later(request.deadline - request.since, self._expire, request) if request.is_timed else None
        try:
            is_in_time = await request.answer
        finally:
            if timer is not None:
                timer.cancel()
            if request.num_waiting:
                with self._lock:
                    self._line.leave(request)
        if request.fault is not None:
            raise ModelFaultError(
                "Expected a risk for each sequence of the request. Received: a failure of the model. "
                "The same request will fail again; another version of the model may answer."
            ) from request.fault
        if not is_in_time:
            raise _too_late()

    def _accept(self, request: Request) -> None:
        """Put a request in the line; when the event loop has read what else there is, those in it are scored."""
        if self._is_draining:
            raise OverloadedError(
                "Expected a batcher that takes requests. Received: one being drained. Try again.", "draining"
            )
        parcels = self._line.split(request.batch)
        with self._lock:
            num_waiting = self._line.num_waiting + request.num_unscored
            if num_waiting > self._max_waiting_sequences:
                raise OverloadedError(
                    f"Expected at most {self._max_waiting_sequences} sequences to wait. Received: "
                    f"{request.num_unscored} more than the {self._line.num_waiting} waiting. Try again later.",
                    "waiting_sequences",
                )
            self._line.join(request, parcels)
        if num_waiting > max(self._quick_rows):
            self._slots.wake()
        elif not self._is_turn_due:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._turn, num_waiting)

    def _turn(self, num_seen: int) -> None:
        """Have those scored who wait: `num_seen` of them when the event loop last went to look for more."""
        call = None
        with self._lock:
            num_waiting = self._line.num_waiting
            most = self._quick_rows[self._line.longest()] if num_waiting else 0
            is_gathering = num_seen < num_waiting <= most // 2
            if not is_gathering and num_waiting <= most:
                call = self._line.take_all(monotonic())
        self._is_turn_due = is_gathering
        if is_gathering:
            asyncio.get_running_loop().call_soon(self._turn, num_waiting)
        elif call is not None:
            self._make(call, self._settle)
        elif num_waiting > most:
            self._slots.wake()

    def _expire(self, request: Request) -> None:
        if not request.answer.done():
            request.answer.set_result(False)

    def _settle(self, requests: list[Request], report: BatchReport) -> None:
        for request in requests:
            if not request.answer.done():
                request.answer.set_result(True)
        self._observe(report)

    def _make(self, call: Call, settle: Settle, begin: Callable[[], None] = _do_nothing) -> None:
        """Call the model, having said by `begin` that it is about to run, and `settle` who is answered.

        Where it fails for several requests, it is called for each alone: only the guilty one fails.
        """
        num_events = 0
        is_failed = False
        started_at = monotonic()
        try:
            arrays = call.arrays()
            num_events = call.num_events
            begin()
            faults = call.deliver(*self._run(*arrays))
        except Exception as fault:
            is_failed = True
            faults = dict.fromkeys(call.pieces, fault)
        ended_at = monotonic()
        is_retried = is_failed and len(call.pieces) > 1
        report = BatchReport(
            rows=call.num_rows,
            batch=call.batch,
            time=call.time,
            events=num_events,
            longest_wait_seconds=started_at - min(request.since for request in call.pieces),
            run_seconds=ended_at - started_at,
            failed=is_failed,
        )
        answered = [] if is_retried else self._book(call, faults)
        settle(answered, report)
        if is_retried:
            for alone in call.alone(self._buckets):
                if not alone.is_over(monotonic()):
                    self._make(alone, settle, begin)

    def _book(self, call: Call, faults: dict[Request, Exception]) -> list[Request]:
        """Count the rows of a call as scored and return the requests that can be answered."""
        answered = []
        with self._lock:
            for request, rows in call.pieces.items():
                request.num_unscored -= len(rows)
                if request in faults:
                    request.fault = faults[request]
                if request in faults or not request.num_unscored:
                    answered.append(request)
        return answered


def _too_late() -> DeadlineExceededError:
    return DeadlineExceededError(
        "Expected an answer before the request's deadline. Received: none in time. "
        "Allow more time, or send fewer sequences at once."
    )
