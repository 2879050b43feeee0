"""On a GPU the service answers as on a CPU, and compiles nothing once it is ready.

From the root of the project, on a machine with a GPU: python -m tests.proofs.prove_gpu [--sequences 10000]
"""

import json
import re
from pathlib import Path

import httpx

from models.repository import Repository
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.proofs.started import command_line, ready
from tests.proofs.verdict import conclude, must_be_below, must_be_none

TOLERANCE = 1e-6

# From one alone to a large batch, so that many buckets answer.
_BODY_SIZES = (1, 7, 64, 500)

Risks = dict[tuple[int, int, int], tuple[float, float]]


def main() -> None:
    """Score the same sequences on both."""
    parser = command_line(__doc__)
    parser.add_argument("--sequences", type=int, default=10_000)
    options = parser.parse_args()
    conclude("GPU", prove(options.repository, options.sequences))


def prove(repository: Path, num_sequences: int) -> list[Row]:
    """Compare the risks of about `num_sequences` random sequences, in bodies of several sizes."""
    published = Repository(repository)
    manifest = published.open(published.names()[0]).manifest
    bodies = {
        size: traffic.bodies(
            manifest, num_bodies=max(1, num_sequences // len(_BODY_SIZES) // size), sequences_a_body=size, seed=size
        )
        for size in _BODY_SIZES
    }
    on_cpu, _ = _score(repository, "cpu", bodies)
    on_gpu, num_compiles = _score(repository, "gpu", bodies)
    differences = [
        max(abs(one - other) for one, other in zip(on_gpu[place], risks, strict=True))
        for place, risks in on_cpu.items()
    ]
    return [
        must_be_none("programs compiled after the service was ready", num_compiles, among=len(differences)),
        must_be_below(
            "largest difference between GPU and CPU, in millionths",
            max(differences) * 1e6,
            TOLERANCE * 1e6,
            measured=f"{len(differences):,} sequences, in bodies of {', '.join(map(str, _BODY_SIZES))}",
        ),
    ]


def _score(repository: Path, device: str, bodies: dict[int, list[bytes]]) -> tuple[Risks, int]:
    """Both risks by body size, body and place in it; and how many programs the service compiled for them."""
    risks: Risks = {}
    with ready(repository, device=device) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        num_compiles = _num_compiles(client)
        for size, of_size in bodies.items():
            for number, body in enumerate(of_size):
                answer = client.post("/v1/score", content=body).raise_for_status()
                for place, score in enumerate(json.loads(answer.content)["scores"]):
                    risks[size, number, place] = score["risk"], score["auxiliary_risk"]
        return risks, _num_compiles(client) - num_compiles


def _num_compiles(client: httpx.Client) -> int:
    found = re.search(r"^seqrisk_compiles_total (\S+)", client.get("/metrics").text, re.MULTILINE)
    if found is None:
        raise RuntimeError("Expected the metric seqrisk_compiles_total. Received: none.")
    return int(float(found[1]))


if __name__ == "__main__":
    main()
