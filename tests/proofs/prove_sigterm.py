"""SIGTERM under load: no request of a client that honours readiness fails, and the service leaves with 0.

From the root of the project: python -m tests.proofs.prove_sigterm [--times 20]
"""

import asyncio
import signal
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter

from models.repository import Repository
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.proofs.connection import Connection, LostError
from tests.proofs.started import Started, command_line, ready
from tests.proofs.verdict import conclude, must_be_none

POLL_SECONDS = 0.05
LOAD_SECONDS = 1.0
GRACE_SECONDS = 1.0
NUM_CONNECTIONS = 16


@dataclass(slots=True)
class Round:
    """One start and its end.

    Attributes:
        num_answered: Requests answered with 200.
        num_after_signal: Those of them answered after the signal.
        num_failed: All others.
        unready_seconds: From the signal until the client saw that the service is not ready.
        exit_seconds: From the signal to the end of the process.
        exit_code: Of the process.
    """

    num_answered: int = 0
    num_after_signal: int = 0
    num_failed: int = 0
    unready_seconds: float = 0.0
    exit_seconds: float = 0.0
    exit_code: int = -1


def main() -> None:
    """Stop the service again and again while it works."""
    parser = command_line(__doc__)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    conclude("SIGTERM under load", prove(options.repository, options.times))


def prove(repository: Path, times: int) -> list[Row]:
    """Start, load and stop the service `times` times."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    bodies = traffic.bodies(manifest, num_bodies=50, sequences_a_body=4)
    rounds = []
    for number in range(1, times + 1):
        with ready(repository, drain_grace_seconds=GRACE_SECONDS) as service:
            rounds.append(asyncio.run(_round(service, bodies)))
        print(f"{number:3}: {rounds[-1]}", flush=True)
    num_requests = sum(one.num_answered + one.num_failed for one in rounds)
    after_signal = sum(one.num_after_signal for one in rounds)
    return [
        must_be_none("requests failed", sum(one.num_failed for one in rounds), among=num_requests),
        must_be_none("ends with another exit code than 0", sum(one.exit_code != 0 for one in rounds), among=times),
        must_be_none(
            "rounds without an answer after the signal", sum(not one.num_after_signal for one in rounds), among=times
        ),
        Row("requests answered after the signal", f"{after_signal:,}", after_signal / times, None, is_least=True),
        Row(
            "longest time from signal to end, s",
            f"grace {GRACE_SECONDS:g} s",
            max(one.exit_seconds for one in rounds),
            None,
            is_least=False,
        ),
    ]


async def _round(service: Started, bodies: list[bytes]) -> Round:
    seen, is_ready, has_signal = Round(), asyncio.Event(), asyncio.Event()
    is_ready.set()

    async def work(first: int) -> None:
        connection = await Connection.to(service.url)
        for body in cycle(bodies[first:] + bodies[:first]):
            if not is_ready.is_set():
                connection.close()
                return
            try:
                if not connection.is_open:
                    connection = await Connection.to(service.url)
                answer = await connection.post("/v1/score", body)
            except (LostError, OSError, TimeoutError) as error:
                print("failed:", error)
                seen.num_failed += 1
                continue
            seen.num_answered += answer.status == 200
            seen.num_failed += answer.status != 200
            seen.num_after_signal += has_signal.is_set() and answer.status == 200

    async def watch_readiness() -> None:
        while is_ready.is_set():
            await asyncio.sleep(POLL_SECONDS)
            with await Connection.to(service.url) as connection:
                if (await connection.get("/readyz")).status != 200:
                    is_ready.clear()

    async with asyncio.TaskGroup() as tasks:
        for number in range(NUM_CONNECTIONS):
            tasks.create_task(work(number))
        tasks.create_task(watch_readiness())
        await asyncio.sleep(LOAD_SECONDS)
        service.tell(signal.SIGTERM)
        signalled_at = perf_counter()
        has_signal.set()
    seen.unready_seconds = perf_counter() - signalled_at
    seen.exit_code = await asyncio.to_thread(service.exit_code)
    seen.exit_seconds = perf_counter() - signalled_at
    return seen


if __name__ == "__main__":
    main()
