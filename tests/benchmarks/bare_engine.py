"""What the engine alone carries, without the service around it."""

import statistics
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.repository import Artifact
from models.sequences import EncodedBatch
from service.buckets import Buckets
from service.engine import Engine
from tests.benchmarks import traffic
from tests.benchmarks.servers import ROOT

SLOTS = 2
MAX_BATCH = 128


def warm_engine(artifact: Artifact) -> Engine:
    """The service's engine without the service."""
    engine = Engine(
        artifact.directory,
        device="cpu",
        buckets=Buckets.for_model(artifact.manifest, MAX_BATCH),
        slots=SLOTS,
        compile_cache_directory=ROOT / ".cache" / "compiled",
        on_compile=lambda: None,
    )
    engine.warm_up(lambda _: None)
    return engine


def side_by_side(engine: Engine, shapes: list[tuple[int, int]]) -> float:
    """Seconds to run a full batch of each shape (batch, time), on every slot."""

    def run(shape: tuple[int, int]) -> None:
        engine.run(np.full(shape, 2, np.int32), np.zeros(shape, np.float32))

    with ThreadPoolExecutor(SLOTS) as slots:

        def once() -> float:
            started_at = perf_counter()
            list(slots.map(run, shapes))
            return perf_counter() - started_at

        return statistics.median(once() for _ in range(7))


def full_batches(buckets: Buckets, lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Shapes (batch, time) of the batches in which sequences of these lengths go, as large as they can be."""
    times, counts = np.unique([buckets.time_for(int(length)) for length in lengths], return_counts=True)
    shapes = []
    for time, count in zip(times.tolist(), counts.tolist(), strict=True):
        largest = buckets.batches_of(time)[-1]
        shapes += [(largest, time)] * (count // largest)
        if count % largest:
            shapes.append((buckets.batch_for(count % largest, time), time))
    return shapes


def engine_rate(engine: Engine, manifest: Manifest, batches: list[EncodedBatch]) -> float:
    """Sequences a second of the engine on full batches of the bodies' own mix of lengths, on every slot."""
    buckets = Buckets.for_model(manifest, MAX_BATCH)
    lengths = np.concatenate([batch.events_used for batch in batches])
    return len(lengths) / side_by_side(engine, full_batches(buckets, lengths))


def bare_call_seconds(engine: Engine, manifest: Manifest, bodies: list[bytes]) -> float:
    """Median seconds of one engine call on each body's only sequence."""
    buckets = Buckets.for_model(manifest, MAX_BATCH)
    seconds = []
    for body in bodies:
        batch = traffic.batch(manifest, body)
        time = buckets.time_for(int(batch.events_used[0]))
        event_ids, minutes = np.zeros((1, time), np.int32), np.zeros((1, time), np.float32)
        event_ids[:, : batch.event_ids.shape[1]] = batch.event_ids
        minutes[:, : batch.event_ids.shape[1]] = batch.elapsed_minutes
        started_at = perf_counter()
        engine.run(event_ids, minutes)
        seconds.append(perf_counter() - started_at)
    return statistics.median(seconds)
