"""Requests at a constant rate, on connections that last for a while, as a proxy has them; nothing is sent twice.

Asked    one request and what became of it
Load     requests until it is told to stop
"""

import asyncio
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle
from time import monotonic, sleep
from typing import Self

import numpy as np

from models.manifest import Manifest
from tests.benchmarks import traffic
from tests.proofs.connection import Answer, Connection, LostError

REQUESTS_A_CONNECTION = 10
CONNECT_SECONDS = 1.0
GIVE_UP_SECONDS = 30.0
RETRY_AFTER_SECONDS = 1.0

_NUM_BODIES = 50
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what became of it.

    Attributes:
        due_at: When it was to be sent, on the clock of `time.monotonic()`.
        sent_at: When it was.
        answered_at: When it was answered, or failed.
        status: HTTP status; 0 if there was no answer.
        version: Of the model that answered; 0 if none did.
        reason: Why it failed; empty if it did not.
    """

    due_at: float
    sent_at: float
    answered_at: float
    status: int
    version: int
    reason: str

    @property
    def is_lost(self) -> bool:
        """Whether it was not answered with scores."""
        return self.status != HTTPStatus.OK


class Load:
    """Requests at a constant rate, whatever the service does, in a thread of its own.

    Args:
        url: Of the Service.
        manifest: Of the model, whose traffic is imitated.
        per_second: How many.
        sequences_a_body: How many sequences one of them brings.
        honours_retry_after: Whether what was refused unread, with 503 and `Retry-After`, is asked again, as our own
            client does; else it is lost.
    """

    def __init__(
        self,
        url: str,
        manifest: Manifest,
        per_second: float,
        *,
        sequences_a_body: int = 4,
        honours_retry_after: bool = False,
    ) -> None:
        self._url = url
        self.per_second = per_second
        bodies = traffic.bodies(manifest, num_bodies=_NUM_BODIES, sequences_a_body=sequences_a_body)
        self._bodies = cycle(bodies)
        self.asked = list[Asked]()
        self.num_reconnects = 0
        self.num_refused = 0
        self._patience_seconds = GIVE_UP_SECONDS if honours_retry_after else 0.0
        self._idle = list[tuple[Connection, int]]()
        self._pending = set[float]()
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopping.set()
        self._thread.join()

    def wait_for_answers(self, until: float) -> None:
        """Wait until every request that was due before `until` has been answered, or has failed."""
        while self._pending and min(self._pending) < until:
            sleep(_POLL_SECONDS)

    def between(self, begin: float, end: float) -> list[Asked]:
        """Requests that were due in a stretch of time."""
        return [one for one in self.asked if begin <= one.due_at <= end]

    async def _ask_all(self) -> None:
        due_at = monotonic()
        async with asyncio.TaskGroup() as tasks:
            while not self._is_stopping.is_set():
                self._pending = {*self._pending, due_at}
                tasks.create_task(self._ask(next(self._bodies), due_at))
                due_at += 1 / self.per_second
                await asyncio.sleep(max(0.0, due_at - monotonic()))
        for connection, _ in self._idle:
            connection.close()

    async def _ask(self, body: bytes, due_at: float) -> None:
        sent_at, status, version, reason = monotonic(), 0, 0, ""
        try:
            while True:
                connection, num_uses = await self._connection()
                sent_at = monotonic()
                answer = await self._exchange(connection, num_uses, body)
                if answer.status != HTTPStatus.SERVICE_UNAVAILABLE or monotonic() - due_at >= self._patience_seconds:
                    break
                self.num_refused += 1
                await asyncio.sleep(RETRY_AFTER_SECONDS)
            status = answer.status
            if status == HTTPStatus.OK:
                version = int(re.findall(rb'"version":\s*(\d+)', answer.body)[0])
            else:
                reason = answer.body[:200].decode(errors="replace")
        except (LostError, OSError, TimeoutError) as error:
            reason = repr(error)
        self.asked.append(Asked(due_at, sent_at, monotonic(), status, version, reason))
        # A new set each time: another thread looks at it.
        self._pending = self._pending - {due_at}

    async def _exchange(self, connection: Connection, num_uses: int, body: bytes) -> Answer:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            answer = await connection.post("/v1/score", body)
        if connection.is_open and num_uses < REQUESTS_A_CONNECTION:
            self._idle.append((connection, num_uses + 1))
        else:
            connection.close()
        return answer

    async def _connection(self) -> tuple[Connection, int]:
        """One that is open, or a new one. What cannot be connected has sent nothing, and may be tried again."""
        while self._idle:
            connection, num_uses = self._idle.pop()
            if connection.is_open:
                return connection, num_uses
        until = monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await Connection.to(self._url), 1
            except (OSError, TimeoutError):
                self.num_reconnects += 1
                if monotonic() > until:
                    raise
                await asyncio.sleep(0.1)


def milliseconds(asked: Iterable[Asked]) -> str:
    """The median, the 99th percentile and the longest time from due to answered, in ms."""
    seconds = [one.answered_at - one.due_at for one in asked if not one.is_lost]
    return ", ".join(f"{1e3 * value:.0f}" for value in np.quantile(seconds, (0.5, 0.99, 1.0))) if seconds else "-"
