"""What the tests of the engine share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.sequences import FIRST_EVENT_TYPE_ID, UNKNOWN_ID
from service.buckets import Buckets
from service.engine import Engine

BUCKETS = Buckets(times=(4, 8), batches=(1, 3, 16))
LARGEST_ID = FIRST_EVENT_TYPE_ID + 3

Arrays = tuple[NDArray[np.int32], NDArray[np.float32]]


def build(directory: Path, on_compile: Callable[[], None] = lambda: None) -> Engine:
    return Engine(directory, device="cpu", buckets=BUCKETS, slots=2, on_compile=on_compile)


def histories(batch: int, time: int, *, longest: int, seed: int) -> Arrays:
    """Random histories of 1 to `longest` events, right-padded; what stands in padded minutes is arbitrary."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, batch)
    is_event = np.arange(time) < lengths[:, None]
    event_ids = np.where(is_event, random.integers(UNKNOWN_ID, LARGEST_ID + 1, (batch, time)), 0)
    elapsed_minutes = -np.sort(-random.exponential(1_000, (batch, time)), axis=1)
    return event_ids.astype(np.int32), elapsed_minutes.astype(np.float32)
