"""A score is the same alone and in any company, and comes back to whoever asked for it.

Random sequences in bodies of random size, from 32 connections at once; the plain signature scores each of them alone.

From the root of the project: python -m tests.proofs.prove_invariance [--sequences 10000]
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.manifest import Manifest
from models.repository import Artifact, Repository
from models.sequences import Vocabulary, encode
from tests.benchmarks.results import Row
from tests.proofs.connection import Connection
from tests.proofs.started import command_line, ready
from tests.proofs.verdict import conclude, must_be_below, must_be_none

TOLERANCE = 1e-6
NUM_CONNECTIONS = 32
MOST_SEQUENCES_A_BODY = 64

_BEYOND_THE_LONGEST = 20

Sequence = dict[str, Any]
Risks = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Found:
    """The answers, by the sequence's id.

    Attributes:
        risks: Risk and auxiliary risk.
        num_wrong_ids: Answers that have not exactly the ids of their request, in order.
        num_failed: Answers other than 200.
    """

    risks: dict[str, Risks]
    num_wrong_ids: int
    num_failed: int


def main() -> None:
    """Score many sequences in company, and each alone."""
    parser = command_line(__doc__)
    parser.add_argument("--sequences", type=int, default=10_000)
    options = parser.parse_args()
    conclude("Invariance", prove(options.repository, options.sequences))


def prove(repository: Path, num_sequences: int) -> list[Row]:
    """Compare `num_sequences` random sequences."""
    published = Repository(repository)
    artifact = published.open(published.names()[0])
    sequences = _sequences(artifact.manifest, num_sequences)
    with ready(repository) as service:
        found = asyncio.run(_score_together(service.url, sequences))
    alone = _plain_signature(artifact)
    expected = {sequence["id"]: alone(sequence) for sequence in sequences}
    differences = [
        max(abs(one - other) for one, other in zip(found.risks[name], expected[name], strict=True))
        for name in found.risks
    ]
    num_distinct = len({round(risk, 6) for risk, _ in expected.values()})
    return [
        must_be_none("sequences without a score", num_sequences - len(found.risks), among=num_sequences),
        must_be_none("answers with ids of another request", found.num_wrong_ids, among=num_sequences),
        must_be_none("answers other than 200", found.num_failed, among=num_sequences),
        must_be_below(
            "largest difference to the score alone, in millionths",
            max(differences) * 1e6,
            TOLERANCE * 1e6,
            measured=f"median {np.median(differences):.1e}, {num_distinct:,} distinct risks",
        ),
    ]


def _sequences(manifest: Manifest, num_sequences: int) -> list[Sequence]:
    """Sequences of every length from 1 to beyond the longest, of known and unknown types, texts and integers."""
    draw = np.random.default_rng(5)
    event_types = [*manifest.vocabulary, "never seen before", 7, -1]
    sequences = []
    for number in range(num_sequences):
        length = int(draw.integers(1, manifest.max_events + _BEYOND_THE_LONGEST))
        gaps = np.round(draw.exponential(manifest.max_elapsed_minutes / 1e4, length), 3)
        gaps[0] = 0
        elapsed = np.cumsum(gaps)[::-1]
        sequences.append(
            {
                "id": f"sequence-{number}",
                "event_types": [event_types[place] for place in draw.integers(0, len(event_types), length)],
                "elapsed_minutes": elapsed.tolist(),
            }
        )
    return sequences


async def _score_together(url: str, sequences: list[Sequence]) -> Found:
    draw = np.random.default_rng(6)
    groups, start = list[list[Sequence]](), 0
    while start < len(sequences):
        # Many small bodies, some large ones.
        size = int(MOST_SEQUENCES_A_BODY ** draw.random())
        groups.append(sequences[start : start + size])
        start += size
    risks, num_wrong_ids, num_failed = dict[str, Risks](), 0, 0

    async def work() -> None:
        nonlocal num_wrong_ids, num_failed
        connection = await Connection.to(url)
        while groups:
            group = groups.pop()
            answer = await connection.post("/v1/score", json.dumps({"sequences": group}).encode())
            if answer.status != 200:
                num_failed += 1
                continue
            scores = answer.json()["scores"]
            if [score["id"] for score in scores] != [sequence["id"] for sequence in group]:
                num_wrong_ids += 1
            risks.update((score["id"], (score["risk"], score["auxiliary_risk"])) for score in scores)
        connection.close()

    await asyncio.gather(*(work() for _ in range(NUM_CONNECTIONS)))
    return Found(risks, num_wrong_ids, num_failed)


def _plain_signature(artifact: Artifact) -> Callable[[Sequence], Risks]:
    """The artifact as TensorFlow alone serves it, one sequence a call and nothing padded."""
    import tensorflow as tf  # noqa: PLC0415  seconds, and only this function needs it

    model = tf.saved_model.load(str(artifact.directory))
    signature = model.signatures["serving_default"]
    vocabulary = Vocabulary(artifact.manifest.vocabulary)

    def score(sequence: Sequence) -> Risks:
        batch = encode(
            [sequence["event_types"]], [sequence["elapsed_minutes"]], vocabulary, artifact.manifest.max_events
        )
        answer = signature(event_ids=tf.constant(batch.event_ids), elapsed_minutes=tf.constant(batch.elapsed_minutes))
        return float(answer["risk"][0]), float(answer["auxiliary_risk"][0])

    # Holds the weights: the signature refers to them weakly.
    score.model = model  # type: ignore[attr-defined]
    return score


if __name__ == "__main__":
    main()
