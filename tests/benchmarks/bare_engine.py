"""What the engine alone carries, without the service around it."""

import statistics
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

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


def side_by_side(engine: Engine, times: list[int]) -> float:
    """Seconds to run one full batch of each padded length, on every slot."""

    def run(time: int) -> None:
        engine.run(np.full((MAX_BATCH, time), 2, np.int32), np.zeros((MAX_BATCH, time), np.float32))

    def once() -> float:
        started_at = perf_counter()
        with ThreadPoolExecutor(SLOTS) as slots:
            list(slots.map(run, times))
        return perf_counter() - started_at

    return statistics.median(once() for _ in range(7))


def engine_rate(engine: Engine, manifest: Manifest, batches: list[EncodedBatch]) -> float:
    """Sequences a second of the engine on full batches of the bodies' own mix of lengths, on every slot."""
    buckets = Buckets.for_model(manifest, MAX_BATCH)
    lengths = np.concatenate([batch.events_used for batch in batches])
    times = [buckets.time_for(int(length)) for length in lengths]
    shapes = [time for time in buckets.times for _ in range(times.count(time) // MAX_BATCH)]
    return len(shapes) * MAX_BATCH / side_by_side(engine, shapes)


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
