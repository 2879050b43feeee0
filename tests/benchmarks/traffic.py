"""Requests like real ones: lengths after the manifest's quantiles, event types after their shares."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from models.manifest import Manifest
from models.sequences import EncodedBatch, Vocabulary, encode

Sequence = dict[str, Any]


def sequences(manifest: Manifest, seed: int, length: int | None = None) -> Iterator[Sequence]:
    """Sequences without end, in the form of our own API; of mixed lengths unless `length` is given."""
    draw = np.random.default_rng(seed)
    quantiles, gaps = manifest.reference.length_quantiles, manifest.reference.gap_minutes_quantiles
    event_types = list(manifest.reference.event_type_shares)
    shares = np.array(list(manifest.reference.event_type_shares.values()))
    while True:
        drawn = np.interp(draw.random(), quantiles.levels, quantiles.values)
        num_events = length or int(np.clip(round(float(drawn)), 1, manifest.max_events))
        minutes = np.round(np.interp(draw.random(num_events - 1), gaps.levels, gaps.values))
        yield {
            "event_types": draw.choice(event_types, num_events, p=shares / shares.sum()).tolist(),
            "elapsed_minutes": [*np.cumsum(minutes)[::-1].tolist(), 0.0],
        }


def bodies(
    manifest: Manifest, *, num_bodies: int, sequences_a_body: int, seed: int = 1, length: int | None = None
) -> list[bytes]:
    """Bodies for `POST /v1/score`."""
    drawn = sequences(manifest, seed, length)
    return [
        json.dumps({"sequences": [next(drawn) for _ in range(sequences_a_body)]}, separators=(",", ":")).encode()
        for _ in range(num_bodies)
    ]


def batch(manifest: Manifest, body: bytes) -> EncodedBatch:
    """The sequences of a body as the model takes them."""
    content = json.loads(body)["sequences"]
    return encode(
        [sequence["event_types"] for sequence in content],
        [sequence["elapsed_minutes"] for sequence in content],
        Vocabulary(manifest.vocabulary),
        manifest.max_events,
    )
