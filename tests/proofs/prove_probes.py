"""Probes are answered in time while large bodies are validated and while a version loads.

From the root of the project: python -m tests.proofs.prove_probes [--seconds 10]
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import numpy as np

from models.manifest import Manifest
from models.repository import Repository
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.proofs.connection import Connection
from tests.proofs.started import command_line, ready, started
from tests.proofs.verdict import conclude, must_be_below, must_be_none

LIMIT_MS = 100.0
BODY_BYTES = 4_000_000
PROBES = ("/livez", "/readyz")

_PAUSE_SECONDS = 0.005


def main() -> None:
    """Ask the probes while the service has something else to do."""
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="For each kind of body.")
    options = parser.parse_args()
    conclude("Probes", prove(options.repository, options.seconds))


def prove(repository: Path, seconds: float) -> list[Row]:
    """Ask the probes of an idle service, under each kind of large body, and while the model loads."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    rows = []
    with started(repository) as service:
        service.wait_for("/livez")
        rows += asyncio.run(_while_loading(service.url))
    with ready(repository) as service:
        rows += asyncio.run(_rows(service.url, "idle", [], seconds))
        for name, bodies in _bodies(manifest).items():
            rows += asyncio.run(_rows(service.url, f"while {name} are validated", bodies, seconds))
    return rows


def _bodies(manifest: Manifest) -> dict[str, list[bytes]]:
    """Bodies of 4 MB: sound ones in both forms, and some that are wrong in costly ways."""
    lengths = traffic.sequences(manifest, seed=1, length=300)
    sequences = [next(lengths) for _ in range(1000)]
    start = datetime(2020, 1, 1, tzinfo=UTC)
    timed = [
        {
            "events": [
                {"type": event_type, "time": (start - timedelta(minutes=minutes)).isoformat()}
                for event_type, minutes in zip(sequence["event_types"], sequence["elapsed_minutes"], strict=True)
            ]
        }
        for sequence in sequences[:250]
    ]
    integers = b'{"sequences":[{"event_types":[' + b"1," * (BODY_BYTES // 2) + b'1],"elapsed_minutes":[0]}]}'
    return {
        "elapsed minutes": [_body(sequences)],
        "times": [_body(timed)],
        "faults": [_body([{"event_types": ["a"], "elapsed_minutes": [1]}] * (BODY_BYTES // 46))],
        "two million integers": [integers],
    }


def _body(sequences: list[traffic.Sequence]) -> bytes:
    """As many of the sequences as make up the size."""
    size = len(json.dumps(sequences, separators=(",", ":"))) / len(sequences)
    kept = sequences[: int(BODY_BYTES / size)]
    return json.dumps({"sequences": kept}, separators=(",", ":")).encode()


async def _rows(url: str, when: str, bodies: list[bytes], seconds: float) -> list[Row]:
    statuses: list[int] = []

    async def upload() -> None:
        with await Connection.to(url) as connection:
            for body in cycle(bodies):
                answer = await connection.post("/v1/score", body)
                statuses.append(answer.status)

    async def during() -> None:
        await asyncio.sleep(seconds)

    uploads = [asyncio.create_task(upload()) for _ in range(2 if bodies else 0)]
    rows = await _probe(url, when, during, codes={200})
    for task in uploads:
        task.cancel()
    ends = await asyncio.gather(*uploads, return_exceptions=True)
    if bodies:
        num_broken = sum(not isinstance(end, asyncio.CancelledError) for end in ends)
        rows.append(must_be_none(f"uploads that broke off {when}", num_broken, among=len(uploads)))
        rows.append(Row(f"bodies answered {when}", f"{len(statuses):,}", len(statuses), 1, is_least=True))
        answered = ", ".join(f"{statuses.count(status)} x {status}" for status in sorted(set(statuses)))
        size = f"{len(bodies[0]) / 1e6:.1f} MB each"
        rows.append(
            must_be_none(
                f"answers 5xx ({answered}; {size})", sum(status >= 500 for status in statuses), among=len(statuses)
            )
        )
    return rows


async def _while_loading(url: str) -> list[Row]:
    async def during() -> None:
        is_ready = False
        with await Connection.to(url) as connection:
            while not is_ready:
                await asyncio.sleep(0.05)
                is_ready = (await connection.get("/readyz")).status == 200

    return await _probe(url, "while the model loads", during, codes={200, 503})


async def _probe(url: str, when: str, during: Callable[[], Awaitable[None]], codes: set[int]) -> list[Row]:
    """Ask each probe again and again, on a new connection each time, as a platform does."""
    milliseconds = dict[str, list[float]]((path, []) for path in PROBES)
    wrong: list[object] = []

    async def ask(path: str) -> None:
        while True:
            with await Connection.to(url) as connection:
                answer = await connection.get(path)
            milliseconds[path].append(answer.seconds * 1e3)
            if answer.status not in codes:
                wrong.append(answer.status)
            await asyncio.sleep(_PAUSE_SECONDS)

    probes = [asyncio.create_task(ask(path)) for path in PROBES]
    await during()
    for probe in probes:
        probe.cancel()
    ends = await asyncio.gather(*probes, return_exceptions=True)
    wrong += [end for end in ends if not isinstance(end, asyncio.CancelledError)]
    return [
        *(
            must_be_below(
                f"{path} {when}: longest, ms",
                max(found),
                LIMIT_MS,
                measured="p50 {:.1f}, p99 {:.1f}, ".format(*np.percentile(found, [50, 99])) + f"{len(found):,} asked",
            )
            for path, found in milliseconds.items()
        ),
        must_be_none(f"wrong answers {when}", len(wrong), among=sum(map(len, milliseconds.values()))),
    ]


if __name__ == "__main__":
    main()
