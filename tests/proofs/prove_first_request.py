"""The first request after ready is answered about as quickly as any other.

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

_NUM_LATER = 1_000


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
    firsts, tails = list[float](), list[float]()
    for number in range(times):
        with ready(repository) as service:
            first, later = asyncio.run(_ask(service.url, bodies))
        firsts.append(first)
        tails.append(float(np.percentile(later, 99)))
        print(f"{number + 1}: first {first * 1e3:.2f} ms, p50 {np.median(later) * 1e3:.2f}, p99 {tails[-1] * 1e3:.2f}")
    first, tail = statistics.median(firsts), statistics.median(tails)
    return [
        must_be_below(
            "first request over the p99 of later ones, medians of all starts",
            first / tail,
            LIMIT,
            measured=f"{first * 1e3:.2f} ms over {tail * 1e3:.2f} ms",
        ),
    ]


async def _ask(url: str, bodies: list[bytes]) -> tuple[float, list[float]]:
    with await Connection.to(url) as connection:
        seconds = [
            (await connection.post("/v1/score", bodies[number % len(bodies)])).seconds
            for number in range(_NUM_LATER + 1)
        ]
    return seconds[0], seconds[1:]


if __name__ == "__main__":
    main()
