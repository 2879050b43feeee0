"""The first request after ready is answered about as quickly as any other that finds the service at rest.

A process that has slept for some milliseconds has lost its caches and has to be woken: that alone costs more than an
answer. So the first request is compared with later ones that come one at a time, too; back to back is told beside.

From the root of the project: python -m tests.proofs.prove_first_request [--times 5]
"""

import asyncio
import statistics
from pathlib import Path

import numpy as np

from models.repository import Repository
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.proofs.connection import Connection
from tests.proofs.started import command_line, ready
from tests.proofs.verdict import conclude, must_be_below

LIMIT = 1.5

_NUM_LATER = 500
_PAUSE_SECONDS = 0.02


def main() -> None:
    """Start the service, and ask it once, and then often."""
    parser = command_line(__doc__)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    conclude("The first request after ready", prove(options.repository, options.times))


def prove(repository: Path, times: int) -> list[Row]:
    """Compare the first request with the 99th percentile of those that follow, over several starts."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    bodies = traffic.bodies(manifest, num_bodies=200, sequences_a_body=1)
    firsts, tails, close_tails = list[float](), list[float](), list[float]()
    for number in range(times):
        with ready(repository) as service:
            first, later, close = asyncio.run(_ask(service.url, bodies))
        firsts.append(first)
        tails.append(float(np.percentile(later, 99)))
        close_tails.append(float(np.percentile(close, 99)))
        print(
            f"{number + 1}: first {first * 1e3:.2f} ms; one at a time p50 {np.median(later) * 1e3:.2f}, "
            f"p99 {tails[-1] * 1e3:.2f}; back to back p50 {np.median(close) * 1e3:.2f}, p99 {close_tails[-1] * 1e3:.2f}"
        )
    first, tail, close_tail = (statistics.median(of) for of in (firsts, tails, close_tails))
    return [
        must_be_below(
            "first request over the p99 of later ones, medians of all starts",
            first / tail,
            LIMIT,
            measured=f"{first * 1e3:.2f} ms over {tail * 1e3:.2f} ms; {close_tail * 1e3:.2f} ms back to back",
        ),
    ]


async def _ask(url: str, bodies: list[bytes]) -> tuple[float, list[float], list[float]]:
    """Seconds of the first request, of those after a pause each, and of those back to back."""
    with await Connection.to(url) as connection:

        async def seconds(number: int, pause_seconds: float) -> float:
            await asyncio.sleep(pause_seconds)
            return (await connection.post("/v1/score", bodies[number % len(bodies)])).seconds

        first = await seconds(0, 0)
        later = [await seconds(number, _PAUSE_SECONDS) for number in range(_NUM_LATER)]
        return first, later, [await seconds(number, 0) for number in range(_NUM_LATER)]


if __name__ == "__main__":
    main()
