"""The model as every peer runs it: the SavedModel's own signature over one padded batch.

Competent use, no more: no `predict`, one encoding for all rows of a batch, one thread a core.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from models.repository import Repository
from models.sequences import Vocabulary, encode

Body = dict[str, Any]


class Model:
    """The newest version of the only model in the repository that SEQRISK_REPOSITORY names."""

    def __init__(self) -> None:
        repository = Repository(Path(os.environ["SEQRISK_REPOSITORY"]))
        artifact = repository.open(repository.names()[0])
        self.max_events = artifact.manifest.max_events
        self.vocabulary = Vocabulary(artifact.manifest.vocabulary)
        self._signature = tf.saved_model.load(str(artifact.directory)).signatures["serving_default"]

    def score(self, sequences: Sequence[Body]) -> list[Body]:
        """Scores of sequences as our own API takes them."""
        batch = encode(
            [sequence["event_types"] for sequence in sequences],
            [sequence["elapsed_minutes"] for sequence in sequences],
            self.vocabulary,
            self.max_events,
        )
        risk, auxiliary_risk = self.run(batch.event_ids, batch.elapsed_minutes)
        return [
            {"risk": one, "auxiliary_risk": other}
            for one, other in zip(risk.tolist(), auxiliary_risk.tolist(), strict=True)
        ]

    def run(self, event_ids: np.ndarray, elapsed_minutes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Risk and auxiliary risk, float32 (batch,), of arrays (batch, time)."""
        answer = self._signature(event_ids=tf.constant(event_ids), elapsed_minutes=tf.constant(elapsed_minutes))
        return answer["risk"].numpy(), answer["auxiliary_risk"].numpy()
