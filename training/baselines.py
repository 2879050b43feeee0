"""The baseline every network must be seen beside: gradient boosting on running aggregates of the same histories."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from models.sequences import PADDING_ID, EncodedBatch, Vocabulary
from training.batches import encode_buckets
from training.prefixes import Prefixes

_MOST_CATEGORIES = 255


class GradientBoosting:
    """Histogram gradient boosting on counts, latest types and times: the network's inputs and nothing else.

    Args:
        vocabulary: The network's.
        max_events: The network's longest history.
        seed: Seed of the boosting.
    """

    def __init__(self, vocabulary: Vocabulary, max_events: int, seed: int) -> None:
        self._vocabulary = vocabulary
        self._max_events = max_events
        latest_types = [vocabulary.size - 1, vocabulary.size] if vocabulary.size <= _MOST_CATEGORIES else None
        self._classifier = HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=400,
            max_leaf_nodes=15,
            early_stopping=True,
            n_iter_no_change=20,
            scoring="roc_auc",
            categorical_features=latest_types,
            random_state=seed,
        )

    def fit(self, training: Prefixes, validation: Prefixes) -> None:
        """Fit on `training`, stopping by the ROC AUC on `validation`, as the network does."""
        self._classifier.fit(
            self._features(training), training.labels, X_val=self._features(validation), y_val=validation.labels
        )

    def logits(self, prefixes: Prefixes) -> NDArray[np.float64]:
        """Log odds before calibration, float64 (prefix,)."""
        return np.asarray(self._classifier.decision_function(self._features(prefixes)))

    def _features(self, prefixes: Prefixes) -> NDArray[np.float32]:
        buckets = encode_buckets(prefixes, self._vocabulary, self._max_events)
        features = [aggregates(encoded, self._vocabulary.size) for _, encoded in buckets]
        ordered = np.empty((len(prefixes), features[0].shape[1]), np.float32)
        for (indices, _), of_bucket in zip(buckets, features, strict=True):
            ordered[indices] = of_bucket
        return ordered


def aggregates(encoded: EncodedBatch, vocabulary_size: int) -> NDArray[np.float32]:
    """What a history amounts to, float32 (batch, vocabulary_size + 6).

    Columns: how often each id but padding occurs; the last and the last but one id; number of events; minutes of the
    last gap, since the first event, of the longest gap and of the mean gap.
    """
    event_ids = encoded.event_ids
    rows = np.arange(len(event_ids))
    counts = np.zeros((len(event_ids), vocabulary_size), np.float32)
    np.add.at(counts, (rows[:, None], event_ids), 1.0)

    last = encoded.events_used - 1
    last_id = event_ids[rows, last]
    id_before = np.where(last > 0, event_ids[rows, last - 1], PADDING_ID)

    minutes = encoded.elapsed_minutes
    is_gap = event_ids[:, 1:] != PADDING_ID
    gaps = np.where(is_gap, minutes[:, :-1] - minutes[:, 1:], 0.0)
    last_gap = np.where(last > 0, minutes[rows, last - 1] - minutes[rows, last], 0.0)
    longest_gap = gaps.max(axis=1, initial=0.0)
    mean_gap = gaps.sum(axis=1) / np.maximum(last, 1)
    return np.column_stack(
        [counts[:, 1:], last_id, id_before, encoded.events_used, last_gap, minutes[:, 0], longest_gap, mean_gap]
    ).astype(np.float32)
