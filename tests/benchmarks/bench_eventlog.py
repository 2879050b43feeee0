"""How long, and in how much memory, ten million events go from a Parquet file to training arrays.

A process of its own reads a synthetic log, splits it, builds the vocabulary, makes the ids of every part and cuts the
fit part's prefixes; polars takes two threads. Peak memory is that of the whole process, Python and libraries included.

From the root of the project: python -m tests.benchmarks.bench_eventlog
"""

import multiprocessing
import os
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl

from tests.benchmarks.results import Row, show, write
from training.data_config import DataConfig, SplitConfig
from training.log_reading import read_event_log
from training.prefixes import cut_prefixes
from training.splits import PARTS, split_by_time
from training.vocabulary import build_vocabulary

NUM_EVENTS = 10_000_000
MEAN_EVENTS = 10
NUM_EVENT_TYPES = 200
THREADS = 2
TARGET_SECONDS = 60.0
TARGET_GIGABYTES = 4.0

_MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Measured:
    """Seconds since the start at which each step was done, the largest resident memory, and what there was then."""

    num_ids: int
    num_prefixes: int
    read: float
    split: float
    arrays: float
    gigabytes: float


def main() -> None:
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log.parquet"
        # Each in a process of its own: what the first leaves in memory is not the second's.
        spawn = multiprocessing.get_context("spawn")
        with spawn.Pool(1, maxtasksperchild=1) as pool:
            num_events = pool.apply(write_log, (path,))
            measured = pool.apply(measure, (path,))
    rows = [
        Row(
            f"{num_events:,} events, Parquet to training arrays, s",
            f"read {measured.read:.1f}, split {measured.split - measured.read:.1f}, "
            f"vocabulary, ids and prefixes {measured.arrays - measured.split:.1f}",
            measured.arrays,
            TARGET_SECONDS,
            is_least=False,
        ),
        Row(
            "peak resident memory, GB",
            f"{measured.num_ids:,} ids, {measured.num_prefixes:,} prefixes, {THREADS} threads",
            measured.gigabytes,
            TARGET_GIGABYTES,
            is_least=False,
        ),
    ]
    show("Event log", rows)
    write("eventlog", rows)


def write_log(path: Path) -> int:
    """A log of interleaved sequences over a year; how many events it has."""
    generator = np.random.default_rng(0)
    num_sequences = NUM_EVENTS // MEAN_EVENTS
    lengths = generator.poisson(MEAN_EVENTS - 1, num_sequences) + 1
    sequences = np.repeat(np.arange(num_sequences), lengths)
    starts = generator.integers(0, 365 * _MICROSECONDS_PER_DAY, num_sequences)
    times = starts[sequences] + generator.integers(0, 7 * _MICROSECONDS_PER_DAY, len(sequences))
    frame = pl.DataFrame(
        {
            "sequence_id": sequences,
            "event_type": generator.integers(0, NUM_EVENT_TYPES, len(sequences)),
            "timestamp": times,
            "label": generator.integers(0, 2, num_sequences)[sequences],
        }
    )
    frame.sort("timestamp").select(
        pl.format("INC{}", pl.col("sequence_id").cast(pl.String).str.zfill(9)).alias("sequence_id"),
        pl.format("type-{}", pl.col("event_type")).alias("event_type"),
        pl.from_epoch("timestamp", "us").dt.replace_time_zone("UTC"),
        "label",
    ).write_parquet(path)
    return len(sequences)


def measure(path: Path) -> Measured:
    started_at = perf_counter()
    log = read_event_log(path, DataConfig(path=path.name))
    read = perf_counter() - started_at
    split = split_by_time(log, SplitConfig())
    split_after = perf_counter() - started_at
    vocabulary = build_vocabulary(split.fit, min_count=5)
    arrays = [getattr(split, name).event_ids(vocabulary) for name in PARTS]
    prefixes = cut_prefixes(split.fit)
    seconds = perf_counter() - started_at
    # Linux counts in kilobytes.
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return Measured(sum(map(len, arrays)), len(prefixes), read, split_after, seconds, gigabytes)


if __name__ == "__main__":
    main()
