"""Three times the load it can carry: what is accepted is answered in time, the rest refused at once, nothing lost.

From the root of the project: python -m tests.proofs.prove_overload [--seconds 60] [--sequences 256]
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import perf_counter

import numpy as np
import uvloop

from models.repository import Repository
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.proofs.connection import Connection, LostError
from tests.proofs.started import Started, command_line, ready
from tests.proofs.verdict import conclude, must_be_below, must_be_none

DEADLINE_SECONDS = 5.0
REJECT_LIMIT_MS = 10.0
RECOVERY_SECONDS = 1.0

_NUM_CONNECTIONS = 16
_MOST_CONNECTIONS = 2_000
_TICK_SECONDS = 0.001
_LEAST_LOAD = 2.7


@dataclass(slots=True)
class Seen:
    """Answers of one load.

    Attributes:
        seconds: How long it lasted.
        accepted: Latencies of answers with 200, in seconds.
        rejected: Latencies of answers with 503, in seconds.
        others: Other statuses, and how many of each.
        num_lost: Requests that got no answer.
        num_held_back: Requests that had no free connection to leave on.
        num_in_time: Answers with 200 that came before the load ended.
        cpu_seconds: Processor time of the service until then.
        late: How much later than planned the client itself came to send, in seconds: part of every latency.
    """

    seconds: float = 0.0
    accepted: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)
    num_lost: int = 0
    num_held_back: int = 0
    num_in_time: int = 0
    cpu_seconds: float = 0.0
    late: list[float] = field(default_factory=list)

    @property
    def num_requests(self) -> int:
        """Requests sent."""
        return len(self.accepted) + len(self.rejected) + sum(self.others.values()) + self.num_lost

    @property
    def goodput(self) -> float:
        """Requests answered with 200 a second, while the load lasted."""
        return self.num_in_time / self.seconds

    def count(self, status: int, seconds: float) -> None:
        """Add one answer."""
        match status:
            case 200:
                self.accepted.append(seconds)
            case 503:
                self.rejected.append(seconds)
            case _:
                self.others[status] += 1


@dataclass(frozen=True, slots=True)
class _Peak:
    """Requests answered with 200 a second, and for each second of the service's processor time."""

    per_second: float
    per_cpu_second: float


def main() -> None:
    """Find the peak, then send three times as much."""
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sequences", type=int, default=256, help="Sequences in a request.")
    options = parser.parse_args()
    rows = prove(options.repository, seconds=options.seconds, sequences_a_body=options.sequences)
    conclude("Three times the load it can carry", rows)


def prove(repository: Path, *, seconds: float, sequences_a_body: int, **settings: float) -> list[Row]:
    """Load the service three times beyond its peak for `seconds`."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    bodies = traffic.bodies(manifest, num_bodies=200, sequences_a_body=sequences_a_body)
    with ready(repository, request_timeout_seconds=DEADLINE_SECONDS, **settings) as service:
        peaks, seen, recovery_seconds = uvloop.run(_load(service, bodies, seconds))
    # A machine that others share is not as quick at the end as it was in the beginning.
    before, after = (one.per_second for one in peaks)
    peak = (before + after) / 2
    per_cpu_second = seen.num_in_time / seen.cpu_seconds
    peak_per_cpu_second = sum(one.per_cpu_second for one in peaks) / len(peaks)
    accepted, rejected = np.array(seen.accepted) * 1e3, np.array(seen.rejected or [0.0]) * 1e3
    offered = seen.num_requests / seen.seconds
    p99 = float(np.percentile(accepted, 99))
    reject_p50, reject_p99 = np.percentile(rejected, [50, 99])
    late_p50, late_p99 = np.percentile(np.array(seen.late) * 1e3, [50, 99])
    return [
        Row(
            "offered over peak before",
            f"{offered:,.0f}/s over {before:,.0f}/s",
            offered / before,
            _LEAST_LOAD,
            is_least=True,
        ),
        Row("requests refused", f"{len(seen.rejected):,}", len(seen.rejected), 1, is_least=True),
        Row(
            "goodput over peak",
            f"{seen.goodput:,.0f}/s over {peak:,.0f}/s: {before:,.0f}/s before, {after:,.0f}/s after",
            seen.goodput / peak,
            0.9,
            is_least=True,
        ),
        Row("peak after over peak before", f"{after:,.0f}/s over {before:,.0f}/s", after / before, 0.8, is_least=True),
        Row(
            "the same for each second of the service's processor time",
            f"{per_cpu_second:,.0f} over {peak_per_cpu_second:,.0f}; {seen.cpu_seconds / seen.seconds:.2f} processors",
            per_cpu_second / peak_per_cpu_second,
            None,
            is_least=True,
        ),
        must_be_below(
            "p99 of accepted over the deadline",
            p99 / 1e3 / DEADLINE_SECONDS,
            1.0,
            measured=f"{p99:.0f} ms, p50 {np.percentile(accepted, 50):.0f} ms",
        ),
        must_be_below(
            "p50 of a reject, ms", float(reject_p50), REJECT_LIMIT_MS, measured=f"{len(seen.rejected):,} rejects"
        ),
        must_be_below("p99 of a reject, ms", float(reject_p99), REJECT_LIMIT_MS, measured=f"max {rejected.max():.0f}"),
        must_be_none("requests without an answer", seen.num_lost, among=seen.num_requests),
        must_be_none(
            f"answers other than 200 and 503 {dict(seen.others) or ''}",
            sum(seen.others.values()),
            among=seen.num_requests,
        ),
        must_be_below("time to recover, s", recovery_seconds, RECOVERY_SECONDS, measured="first answer as when idle"),
        Row("requests the client held back", f"{seen.num_held_back:,}", seen.num_held_back, None, is_least=False),
        Row("p99 of the client's own delay, ms", f"p50 {late_p50:.1f}", float(late_p99), None, is_least=False),
    ]


async def _load(service: Started, bodies: list[bytes], seconds: float) -> tuple[tuple[_Peak, _Peak], Seen, float]:
    await _closed_loop(service, bodies, 1.0)
    idle_seconds = await _alone(service.url, bodies[0])
    before = await _closed_loop(service, bodies, min(seconds, 10.0))
    seen, recovering = await _open_loop(service, bodies, 3 * before.per_second, seconds, 5 * idle_seconds)
    recovery_seconds = await recovering
    after = await _closed_loop(service, bodies, min(seconds, 10.0))
    return (before, after), seen, recovery_seconds


async def _closed_loop(service: Started, bodies: list[bytes], seconds: float) -> _Peak:
    """Requests that as many connections as it takes get answered."""
    cpu_before = _cpu_seconds(service)
    num_answered, stop_at = 0, perf_counter() + seconds

    async def work(first: int) -> None:
        nonlocal num_answered
        connection = await Connection.to(service.url)
        for body in cycle(bodies[first:] + bodies[:first]):
            if perf_counter() > stop_at:
                break
            answer = await connection.post("/v1/score", body)
            num_answered += answer.status == 200
        connection.close()

    await asyncio.gather(*map(work, range(_NUM_CONNECTIONS)))
    return _Peak(num_answered / seconds, num_answered / (_cpu_seconds(service) - cpu_before))


async def _open_loop(
    service: Started, bodies: list[bytes], requests_per_second: float, seconds: float, recovered_seconds: float
) -> tuple[Seen, asyncio.Task[float]]:
    """Requests at a fixed rate, however slowly they are answered; and the recovery, which begins where they end."""
    seen, idle, under_way = Seen(seconds=seconds), list[Connection](), set[asyncio.Task[None]]()
    supply = cycle(bodies)

    async def send(body: bytes) -> None:
        try:
            while idle and not idle[-1].is_open:
                idle.pop()
            connection = idle.pop() if idle else await Connection.to(service.url)
            answer = await connection.post("/v1/score", body)
        except (LostError, OSError, TimeoutError):
            seen.num_lost += 1
            return
        seen.count(answer.status, answer.seconds)
        seen.num_in_time += answer.status == 200 and perf_counter() <= begun_at + seconds
        if connection.is_open:
            idle.append(connection)

    cpu_before = _cpu_seconds(service)
    begun_at, num_due, num_begun = perf_counter(), 0, 0
    while (elapsed := perf_counter() - begun_at) < seconds:
        num_due = int(elapsed * requests_per_second)
        for _ in range(num_due - num_begun):
            if len(under_way) >= _MOST_CONNECTIONS:
                seen.num_held_back += 1
                continue
            task = asyncio.create_task(send(next(supply)))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        num_begun = num_due
        slept_at = perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        seen.late.append(perf_counter() - slept_at - _TICK_SECONDS)
    seen.cpu_seconds = _cpu_seconds(service) - cpu_before
    recovering = asyncio.create_task(_recovery(service.url, bodies[0], recovered_seconds))
    await asyncio.gather(*under_way)
    for connection in idle:
        connection.close()
    return seen, recovering


def _cpu_seconds(service: Started) -> float:
    """Processor time of the service so far, in seconds (proc(5): utime and stime)."""
    after_name = Path(f"/proc/{service.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


async def _alone(url: str, body: bytes) -> float:
    """Median latency without any other load."""
    connection = await Connection.to(url)
    seconds = [(await connection.post("/v1/score", body)).seconds for _ in range(50)]
    connection.close()
    return float(np.median(seconds))


async def _recovery(url: str, body: bytes, limit_seconds: float) -> float:
    """Time until a request is answered about as quickly as before all the load."""
    begun_at = perf_counter()
    connection = await Connection.to(url)
    while perf_counter() - begun_at < 30:
        answer = await connection.post("/v1/score", body)
        if answer.status == 200 and answer.seconds < limit_seconds:
            break
    connection.close()
    return perf_counter() - begun_at


if __name__ == "__main__":
    main()
