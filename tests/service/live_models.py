"""Live versions that need no TensorFlow: their risk is the number of events, in hundredths, plus a constant."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from models.manifest import GoldenExample, Manifest
from service.batcher import Batcher
from service.buckets import Buckets
from service.live_model import LiveModel
from tests.service.conftest import draft

BUCKETS = Buckets(times=(4, 8), batches=(1, 4))


def live_model(
    manifest: Manifest,
    *,
    version: int,
    plus: float = 0.0,
    before: Callable[[], object] = int,
    max_waiting_sequences: int = 1_000,
) -> LiveModel:
    """A version; `before` is called before each call of its model."""

    def run(event_ids: NDArray[np.int32], _: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        before()
        risk = np.count_nonzero(event_ids, axis=1).astype(np.float32) / 100 + np.float32(plus)
        return risk, risk

    batcher = Batcher(run, buckets=BUCKETS, slots=1, max_waiting_sequences=max_waiting_sequences)
    return LiveModel(manifest.model_copy(update={"version": version}), run, BUCKETS, batcher)


def manifest() -> Manifest:
    """That of the model `tiny`, version 1, as if it had been published."""
    example = GoldenExample(event_types=("7",), elapsed_minutes=(0.0,), risk=0.5, auxiliary_risk=0.5)
    return Manifest.of(draft((example,)), version=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), files={})
