"""The compiled engine beside the plain signature of the same artifact: medians of one run, and their ratio.

From the root of the project: python -m tests.benchmarks.bench_engine [repository] [model] [--device gpu]
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.repository import Artifact, Repository
from models.sequences import FIRST_EVENT_TYPE_ID
from service.buckets import Buckets
from service.engine import Engine

ROOT = Path(__file__).parents[2]
BATCHES = {"cpu": (1, 32, 128), "gpu": (1, 64, 512, 2048)}
SHORT_TIME = 8
SLOTS = 2
WARM_UP_CALLS = 5
ROUNDS = 30
CALLS_PER_ROUND = 20

Device = Literal["cpu", "gpu"]
Arrays = tuple[NDArray[np.int32], NDArray[np.float32]]


def main() -> None:
    artifact, device = read_arguments()
    times = tuple(sorted({min(SHORT_TIME, artifact.manifest.max_events), artifact.manifest.max_events}))
    buckets = Buckets(times=times, batches=BATCHES[device])
    engine, plain = load(artifact, buckets, device)

    print(
        f"{'batch':>6}{'time':>6}{'plain ms':>11}{'compiled ms':>13}{'ratio':>8}{'sequences/s':>13}{'in 2 slots':>12}"
    )
    for batch, time in sorted(buckets.shapes):
        arrays = histories(artifact, batch, time)
        plain_seconds, compiled_seconds = medians(lambda: plain(*arrays), lambda: engine.run(*arrays))  # noqa: B023
        print(
            f"{batch:>6}{time:>6}{plain_seconds * 1e3:>11.3f}{compiled_seconds * 1e3:>13.3f}"
            f"{plain_seconds / compiled_seconds:>8.1f}{batch / compiled_seconds:>13,.0f}"
            f"{side_by_side(engine, arrays):>12,.0f}"
        )


def read_arguments() -> tuple[Artifact, Device]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", nargs="?", default=str(ROOT / "models" / "artifacts"))
    parser.add_argument("model", nargs="?", default="sla-breach")
    parser.add_argument("--device", choices=tuple(BATCHES), default="cpu")
    arguments = parser.parse_args()
    artifact = Repository(arguments.repository).open(arguments.model)
    print(f"{artifact.manifest.name} version {artifact.manifest.version}")
    return artifact, arguments.device


def load(
    artifact: Artifact, buckets: Buckets, device: Device
) -> tuple[Engine, Callable[[NDArray[np.int32], NDArray[np.float32]], object]]:
    """The engine, and the same artifact's signature as TensorFlow loads it."""
    started_at = perf_counter()
    engine = Engine(artifact.directory, device=device, buckets=buckets, slots=SLOTS, on_compile=lambda: None)
    loaded_at = perf_counter()
    engine.warm_up(lambda _: None)
    warm_seconds = perf_counter() - loaded_at
    print(f"loaded in {loaded_at - started_at:.2f} s, {len(buckets)} buckets compiled in {warm_seconds:.2f} s\n")
    import tensorflow as tf  # noqa: PLC0415  after the engine, which silences its log

    model = tf.saved_model.load(str(artifact.directory))
    signature = model.signatures["serving_default"]

    def plain(event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]) -> object:
        # `model` is named so that it lives as long as the signature, which refers to its weights weakly.
        answer = signature(event_ids=tf.constant(event_ids), elapsed_minutes=tf.constant(elapsed_minutes))
        return model, answer["risk"].numpy(), answer["auxiliary_risk"].numpy()

    return engine, plain


def histories(artifact: Artifact, batch: int, time: int) -> Arrays:
    """Histories as long as their bucket."""
    random = np.random.default_rng(0)
    num_ids = len(artifact.manifest.vocabulary) + FIRST_EVENT_TYPE_ID
    minutes = -np.sort(-random.exponential(1_000, (batch, time)), axis=1)
    return random.integers(1, num_ids, (batch, time), np.int32), minutes.astype(np.float32)


def medians(*calls: Callable[[], object]) -> list[float]:
    """Median seconds of each call; they take turns, so that a slow moment of the machine meets all of them."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls * WARM_UP_CALLS:
        call()
    for _ in range(ROUNDS):
        for call, seen in zip(calls, seconds, strict=True):
            for _ in range(CALLS_PER_ROUND):
                started_at = perf_counter()
                call()
                seen.append(perf_counter() - started_at)
    return [float(np.median(seen)) for seen in seconds]


def side_by_side(engine: Engine, arrays: Arrays) -> float:
    """Sequences a second with every slot busy: the median round."""
    rates = []
    with ThreadPoolExecutor(SLOTS) as slots:
        for _ in range(ROUNDS):
            started_at = perf_counter()
            for answer in [slots.submit(_run_often, engine, arrays) for _ in range(SLOTS)]:
                answer.result()
            rates.append(SLOTS * CALLS_PER_ROUND * len(arrays[0]) / (perf_counter() - started_at))
    return float(np.median(rates))


def _run_often(engine: Engine, arrays: Arrays) -> None:
    for _ in range(CALLS_PER_ROUND):
        engine.run(*arrays)


if __name__ == "__main__":
    main()
