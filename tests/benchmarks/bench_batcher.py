"""What the batcher itself costs: callers in a closed loop over a model that answers a constant at once.

CPU time is that of the whole process, both slots and the callers included.

From the root of the project: python -m tests.benchmarks.bench_batcher
"""

import asyncio
import os
from dataclasses import dataclass
from itertools import cycle
from time import monotonic, perf_counter, process_time

import numpy as np
import uvloop
from numpy.typing import NDArray

from models.sequences import UNKNOWN_ID, EncodedBatch
from service.batcher import Batcher
from service.buckets import Buckets
from service.call import BatchReport

BUCKETS = Buckets(times=(4, 8, 24, 50), batches=(1, 8, 32, 128))
SLOTS = 2
MEAN_EVENTS = 12
NUM_BODIES = 200
TIMEOUT_SECONDS = 5.0
SECONDS = 2.0
ROUNDS = 3

ANSWERS = {batch: np.full(batch, 0.5, np.float32) for batch in BUCKETS.batches}


@dataclass(frozen=True)
class Load:
    """Callers that each wait for their answer before they ask again."""

    num_sequences: int
    concurrency: int


LOADS = (Load(1, 1), Load(1, 32), Load(64, 8))


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    columns = {"sequences": 9, "callers": 9, "requests/s": 12, "CPU us/request": 16, "p50 ms": 9, "p99 ms": 9}
    print("".join(f"{column:>{width}}" for column, width in columns.items()) + f"{'rows/call':>11}")
    for load in LOADS:
        for _ in range(ROUNDS):
            print(uvloop.run(measure(load)))


async def measure(load: Load) -> str:
    """One line of the table."""
    reports: list[BatchReport] = []
    batcher = Batcher(answer_at_once, buckets=BUCKETS, slots=SLOTS, max_waiting_sequences=4_096, observe=reports.append)
    bodies = make_bodies(load.num_sequences)
    until = perf_counter() + SECONDS
    started_at, cpu_started_at = perf_counter(), process_time()
    seconds = np.concatenate(
        await asyncio.gather(*(call_often(batcher, bodies[number:], until) for number in range(load.concurrency)))
    )
    num_requests, cpu_seconds = len(seconds), process_time() - cpu_started_at
    elapsed_seconds = perf_counter() - started_at
    await batcher.drain()
    median, tail = np.quantile(seconds, (0.5, 0.99)) * 1e3
    return (
        f"{load.num_sequences:>9}{load.concurrency:>9}{num_requests / elapsed_seconds:>12,.0f}"
        f"{cpu_seconds / num_requests * 1e6:>16.1f}{median:>9.2f}{tail:>9.2f}"
        f"{np.mean([report.rows for report in reports]):>11.1f}"
    )


async def call_often(batcher: Batcher, bodies: list[EncodedBatch], until: float) -> list[float]:
    """Ask for one body after another; seconds that each answer took."""
    seconds = []
    for body in cycle(bodies):
        asked_at = perf_counter()
        if asked_at > until:
            break
        await batcher.score(body, monotonic() + TIMEOUT_SECONDS)
        seconds.append(perf_counter() - asked_at)
    return seconds


def make_bodies(num_sequences: int) -> list[EncodedBatch]:
    generator = np.random.default_rng(0)
    bodies = []
    for _ in range(NUM_BODIES):
        events_used = generator.geometric(1 / MEAN_EVENTS, num_sequences).clip(1, BUCKETS.max_time).astype(np.int32)
        event_ids = np.where(np.arange(events_used.max()) < events_used[:, None], UNKNOWN_ID, 0).astype(np.int32)
        elapsed_minutes, nothing = event_ids.astype(np.float32), np.zeros_like(events_used)
        bodies.append(EncodedBatch(event_ids, elapsed_minutes, events_used, nothing, events_used))
    return bodies


def answer_at_once(
    event_ids: NDArray[np.int32], _: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    answer = ANSWERS[len(event_ids)]
    return answer, answer


if __name__ == "__main__":
    main()
