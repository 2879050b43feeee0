"""The service against its physical limits, all in one run: what HTTP alone carries, what the model alone carries.

From the root of the project, while nothing else runs: python -m tests.benchmarks.bench_service [--rounds 3]
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest, Quantiles
from models.repository import Artifact, Repository
from service.buckets import Buckets
from tests.benchmarks import traffic
from tests.benchmarks.bare_engine import (
    MAX_BATCH,
    bare_call_seconds,
    engine_rate,
    full_batches,
    side_by_side,
    warm_engine,
)
from tests.benchmarks.charts import bar_chart
from tests.benchmarks.load import Load, hold_rate, saturate
from tests.benchmarks.results import DIRECTORY, Row, show, write
from tests.benchmarks.servers import ROOT, Running, free_port, running, service

_NUM_BODIES = 500
_SEQUENCES_A_BODY = 64
# Where the model, not the text, is most of the work.
_LONG_EVENTS = 40
_LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
_CONNECTIONS = 32
_ENGINE_SECONDS = 3.0
_ENGINE_ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Bodies:
    """The same requests for every server."""

    single: list[bytes]
    many: list[bytes]
    many_long: list[bytes]


def main() -> None:
    """Measure every target that concerns serving, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "models" / "artifacts")
    parser.add_argument("--rounds", type=int, default=3, help="Repetitions; medians are reported.")
    parser.add_argument("--seconds", type=float, default=5, help="Length of one load.")
    options = parser.parse_args()

    repository = Repository(options.repository)
    artifact = repository.open(repository.names()[0])
    manifest = artifact.manifest
    bodies = Bodies(
        traffic.bodies(manifest, num_bodies=_NUM_BODIES, sequences_a_body=1),
        traffic.bodies(manifest, num_bodies=_NUM_BODIES, sequences_a_body=_SEQUENCES_A_BODY),
        traffic.bodies(manifest, num_bodies=100, sequences_a_body=_SEQUENCES_A_BODY, length=_LONG_EVENTS),
    )
    rows = [
        *engine_rows(artifact),
        *start_rows(options.repository),
        *http_rows(options.repository, artifact, bodies, options.rounds, options.seconds),
    ]
    show("The service against its limits", rows)
    write("service", rows)


def engine_rows(artifact: Artifact) -> list[Row]:
    """What bucketing by length saves, inside the engine, for a model of such histories."""
    draw = np.random.default_rng(1)
    # Log-normal around 5 events, as real histories are.
    most = artifact.manifest.max_events
    lengths = np.clip(np.round(np.exp(draw.normal(np.log(5), 0.8, 4096))), 1, most).astype(int)
    manifest = _with_lengths(artifact.manifest, lengths)
    engine = warm_engine(Artifact(artifact.directory, manifest))
    buckets = Buckets.for_model(manifest, MAX_BATCH)
    bucketed = full_batches(buckets, lengths)
    padded = full_batches(Buckets((manifest.max_events,), buckets.batches, buckets.max_cells), lengths)
    # In turn, so that whatever the machine does meanwhile meets both.
    pairs = [(side_by_side(engine, bucketed), side_by_side(engine, padded)) for _ in range(_ENGINE_ROUNDS)]
    bucketed_seconds, padded_seconds = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return [
        Row(
            "short histories (median 5) by length over all padded to the maximum, sequences/s",
            measured=f"{len(lengths) / bucketed_seconds:,.0f} over {len(lengths) / padded_seconds:,.0f}",
            ratio=padded_seconds / bucketed_seconds,
            target=3.0,
            is_least=True,
        )
    ]


def _with_lengths(manifest: Manifest, lengths: NDArray[np.int64]) -> Manifest:
    """The manifest of a model of histories of these lengths."""
    quantiles = Quantiles(levels=_LEVELS, values=tuple(np.quantile(lengths, _LEVELS).tolist()))
    reference = manifest.reference.model_copy(update={"length_quantiles": quantiles})
    return manifest.model_copy(update={"reference": reference})


def start_rows(repository: Path) -> list[Row]:
    """Start and memory beside a bare import of TensorFlow."""
    program = (
        "import os, time; t = time.perf_counter(); os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import tensorflow;"
        "pages = int(open('/proc/self/statm').read().split()[1]);"
        "print(time.perf_counter() - t, pages * os.sysconf('SC_PAGE_SIZE'))"
    )
    imports = []
    for _ in range(3):
        printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
        imports.append(tuple(map(float, printed.split())))
    import_seconds = statistics.median(seconds for seconds, _ in imports)
    import_bytes = statistics.median(size for _, size in imports)
    cache = ROOT / ".cache" / "compiled"
    with service(repository, compile_cache_directory=cache) as server:
        cold_seconds = server.start_seconds
    starts = []
    for _ in range(3):
        with service(repository, compile_cache_directory=cache) as server:
            starts.append((server.start_seconds, server.resident_bytes))
            # The first large body starts the process that reads such bodies.
            httpx.post(server.url + "/v1/score", content=b" " * 200_000)
            with_reader_bytes = server.resident_bytes
    seconds = statistics.median(start for start, _ in starts)
    size = statistics.median(resident for _, resident in starts)
    return [
        Row(
            "start to ready with a warm compile cache over a bare import of TensorFlow",
            measured=f"{seconds:.1f} s over {import_seconds:.1f} s (first start {cold_seconds:.1f} s)",
            ratio=seconds / import_seconds,
            target=1.6,
            is_least=False,
        ),
        Row(
            "resident memory over a bare import of TensorFlow",
            measured=f"{size / 2**20:.0f} MiB over {import_bytes / 2**20:.0f} MiB "
            f"({with_reader_bytes / 2**20:.0f} MiB with the reader of large bodies)",
            ratio=size / import_bytes,
            target=1.3,
            is_least=False,
        ),
    ]


def http_rows(repository: Path, artifact: Artifact, bodies: Bodies, rounds: int, seconds: float) -> list[Row]:
    """Requests a second beside the echo's and the engine's; latency of one request alone; tails."""
    echo_single, single, many, echo_bytes = list[Load](), list[Load](), list[Load](), list[Load]()
    call_seconds, alone_seconds, engine_rates = list[float](), list[float](), list[float]()
    echo_alone_seconds, echo_many, many_long, long_rates = list[float](), list[Load](), list[Load](), list[float]()
    engine = warm_engine(artifact)
    batches = [traffic.batch(artifact.manifest, body) for body in bodies.many]
    long_batches = [traffic.batch(artifact.manifest, body) for body in bodies.many_long]
    for _ in range(rounds):
        with echo() as server:
            echo_alone_seconds.append(request_seconds(server.url + "/v1/score", bodies.single))
            echo_single.append(saturate(server.url + "/v1/score", bodies.single, connections=32, seconds=seconds))
            echo_bytes.append(saturate(server.url + "/bytes", bodies.single, connections=32, seconds=seconds))
            echo_many.append(saturate(server.url + "/v1/score", bodies.many, connections=8, seconds=seconds))
        engine_rates.append(engine_rate(engine, artifact.manifest, batches))
        long_rates.append(engine_rate(engine, artifact.manifest, long_batches))
        call_seconds.append(bare_call_seconds(engine, artifact.manifest, bodies.single))
        with service(repository, compile_cache_directory=ROOT / ".cache" / "compiled") as server:
            url = server.url + "/v1/score"
            alone_seconds.append(request_seconds(url, bodies.single))
            single.append(saturate(url, bodies.single, connections=_CONNECTIONS, seconds=seconds))
            many.append(saturate(url, bodies.many, connections=8, seconds=seconds))
            many_long.append(saturate(url, bodies.many_long, connections=8, seconds=seconds))
    peak = _median(single, lambda load: load.requests_per_second)
    with service(repository, compile_cache_directory=ROOT / ".cache" / "compiled") as server:
        steady = hold_rate(server.url + "/v1/score", bodies.single, requests_per_second=peak / 2, seconds=20)
    _refuse_failures([*echo_single, *echo_many, *single, *many, *many_long, steady])
    bodies_a_second = _median(many, lambda load: load.requests_per_second)
    echo_bodies_a_second = _median(echo_many, lambda load: load.requests_per_second)
    long_sequences_a_second = _median(many_long, lambda load: load.requests_per_second) * _SEQUENCES_A_BODY
    ceiling = _median(echo_single, lambda load: load.requests_per_second)
    bytes_ceiling = _median(echo_bytes, lambda load: load.requests_per_second)
    bar_chart(
        DIRECTORY / "service.svg",
        "Single sequences, concurrency 32: requests/s on two cores",
        {"seqrisk": peak, "FastAPI and pydantic, no model": ceiling, "FastAPI, bytes in and out": bytes_ceiling},
        "seqrisk",
    )
    overhead_ms = (statistics.median(alone_seconds) - statistics.median(call_seconds)) * 1e3
    p50, p99 = _median(single, lambda load: load.p50_ms), _median(single, lambda load: load.p99_ms)
    return [
        Row(
            "single sequences, concurrency 32: requests/s over the FastAPI and pydantic echo",
            measured=f"{peak:,.0f} over {ceiling:,.0f} (bytes echo {bytes_ceiling:,.0f})",
            ratio=peak / ceiling,
            target=0.75,
            is_least=True,
        ),
        Row(
            "bodies of 64: sequences/s over the engine's own rate",
            measured=f"{bodies_a_second * _SEQUENCES_A_BODY:,.0f} over {statistics.median(engine_rates):,.0f}",
            ratio=bodies_a_second * _SEQUENCES_A_BODY / statistics.median(engine_rates),
            target=0.60,
            is_least=True,
        ),
        Row(
            f"bodies of 64 sequences of {_LONG_EVENTS} events: sequences/s over the engine's own rate",
            measured=f"{long_sequences_a_second:,.0f} over {statistics.median(long_rates):,.0f}",
            ratio=long_sequences_a_second / statistics.median(long_rates),
            target=None,
            is_least=True,
        ),
        Row(
            "bodies of 64: requests/s over the FastAPI and pydantic echo",
            measured=f"{bodies_a_second:,.0f} over {echo_bodies_a_second:,.0f}",
            ratio=bodies_a_second / echo_bodies_a_second,
            target=None,
            is_least=True,
        ),
        Row(
            "one request alone: p50 less the bare engine call, ms",
            measured=f"{statistics.median(alone_seconds) * 1e3:.2f} - {statistics.median(call_seconds) * 1e3:.2f} "
            f"(the echo alone {statistics.median(echo_alone_seconds) * 1e3:.2f})",
            ratio=overhead_ms,
            target=0.6,
            is_least=False,
        ),
        Row(
            "p99 over p50 at concurrency 32",
            measured=f"{p99:.1f} ms over {p50:.1f} ms",
            ratio=p99 / p50,
            target=3.0,
            is_least=False,
        ),
        Row(
            f"p99 at a constant {peak / 2:,.0f} requests/s (half of the peak), ms",
            measured=f"p50 {steady.p50_ms:.2f}, longest {steady.max_ms:.1f}",
            ratio=steady.p99_ms,
            target=None,
            is_least=False,
        ),
    ]


def request_seconds(url: str, bodies: list[bytes]) -> float:
    """Median seconds of one request after the other on one connection."""
    load = saturate(url, bodies, connections=1, seconds=_ENGINE_SECONDS)
    return load.p50_ms / 1e3


@contextmanager
def echo() -> Iterator[Running]:
    """The HTTP half alone."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.echo_app"]
    ready = httpx.Request("POST", f"http://127.0.0.1:{port}/bytes", content=b"{}")
    with running(command, environment={"PORT": str(port)}, port=port, ready=ready) as server:
        yield server


def _median(loads: list[Load], figure: Callable[[Load], float]) -> float:
    return statistics.median(map(figure, loads))


def _refuse_failures(loads: list[Load]) -> None:
    failed = sum(load.failed for load in loads)
    if failed:
        raise SystemExit(
            f"Expected every request to succeed. Received: {failed} failures; no figure is worth anything."
        )


if __name__ == "__main__":
    main()
