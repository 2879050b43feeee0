"""The baselines every network must be seen beside: what running aggregates of the same histories tell.

GradientBoosting     histogram gradient boosting
LogisticRegression   a straight line through standardised logarithms
aggregates           histories -> what both are given
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import sklearn.base
import sklearn.linear_model
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from models.further_inputs import SCORED_MINUTE_OF_WEEK
from models.sequences import PADDING_ID, EncodedBatch, Vocabulary
from training.batches import encode_buckets
from training.further_inputs import tabular
from training.prefixes import Prefixes

_MOST_CATEGORIES = 255
_INVERSE_PENALTIES = (0.001, 0.01, 0.1, 1.0)
_MOST_STEPS = 2_000
_MOST_TREES = 400
_MINUTES_PER_DAY = 1_440


@dataclass(frozen=True, slots=True)
class Aggregates:
    """What histories amount to; the columns are the network's inputs and nothing else.

    Attributes:
        amounts: float32 (prefix, column), none negative: how often each id but padding occurs; number of events; and,
            with time, minutes of the last gap, since the first event, of the longest and the mean gap, and since the
            last event.
        categories: int32 (prefix, column): the last and the last but one id, and further inputs that are categories.
        numbers: float32 (prefix, column): further inputs that are numbers.
        clock: int32 (prefix, column): hour of day and day of week of the scoring moment, if it is an input; none
            without time.
    """

    amounts: NDArray[np.float32]
    categories: NDArray[np.int32]
    numbers: NDArray[np.float32]
    clock: NDArray[np.int32]

    @property
    def columns(self) -> NDArray[np.float32]:
        """All of them, categories first, float32 (prefix, column)."""
        return np.column_stack([self.categories, self.amounts, self.numbers, self.clock]).astype(np.float32)


class GradientBoosting:
    """Histogram gradient boosting.

    Args:
        vocabulary: The network's.
        max_events: The network's longest history.
        seed: Seed of the boosting.
        has_time: Whether it is told of times.
    """

    def __init__(self, vocabulary: Vocabulary, max_events: int, seed: int, *, has_time: bool = True) -> None:
        self._vocabulary = vocabulary
        self._max_events = max_events
        self._seed = seed
        self._has_time = has_time

    def fit(self, training: Prefixes, validation: Prefixes, joint: Prefixes | None = None) -> None:
        """Fit on `training`, stopping by the ROC AUC on `validation`; with `joint` then anew on it, as many trees."""
        learnt, judged = self._aggregates(training), self._aggregates(validation)
        self._classifier = self._new(learnt, early_stopping=True, n_iter_no_change=20, scoring="roc_auc")
        self._classifier.fit(learnt.columns, training.labels, X_val=judged.columns, y_val=validation.labels)
        if joint is not None:
            learnt = self._aggregates(joint)
            # The first is of no tree.
            num_trees = max(1, int(np.argmax(self._classifier.validation_score_)))
            self._classifier = self._new(learnt, early_stopping=False, max_iter=num_trees)
            self._classifier.fit(learnt.columns, joint.labels)

    def logits(self, prefixes: Prefixes) -> NDArray[np.float64]:
        """Log odds before calibration, float64 (prefix,)."""
        return np.asarray(self._classifier.decision_function(self._aggregates(prefixes).columns))

    def _new(self, learnt: Aggregates, **stopping: Any) -> HistGradientBoostingClassifier:  # noqa: ANN401  its options
        largest = learnt.categories.max(axis=0, initial=0)
        options = {"max_iter": _MOST_TREES, **stopping}
        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_leaf_nodes=15,
            categorical_features=np.flatnonzero(largest < _MOST_CATEGORIES),
            random_state=self._seed,
            **options,
        )

    def _aggregates(self, prefixes: Prefixes) -> Aggregates:
        return aggregates(prefixes, self._vocabulary, self._max_events, has_time=self._has_time)


class LogisticRegression:
    """Logistic regression on log(1 + amount) and one column a category, all standardised.

    Args:
        vocabulary: The network's.
        max_events: The network's longest history.
        has_time: Whether it is told of times.
    """

    def __init__(self, vocabulary: Vocabulary, max_events: int, *, has_time: bool = True) -> None:
        self._vocabulary = vocabulary
        self._max_events = max_events
        self._has_time = has_time

    def fit(self, training: Prefixes, validation: Prefixes, joint: Prefixes | None = None) -> None:
        """Fit on `training` with each of several penalties, keeping that of the best ROC AUC on `validation`.

        With `joint` then anew on it, with the same penalty.
        """
        standardised = self._learn_columns(training)
        judged = self._standardised(validation)
        fitted = [
            sklearn.linear_model.LogisticRegression(C=strength, max_iter=_MOST_STEPS).fit(standardised, training.labels)
            for strength in _INVERSE_PENALTIES
        ]
        self._classifier = max(fitted, key=lambda one: roc_auc_score(validation.labels, one.decision_function(judged)))
        if joint is not None:
            self._classifier = sklearn.base.clone(self._classifier).fit(self._learn_columns(joint), joint.labels)

    def logits(self, prefixes: Prefixes) -> NDArray[np.float64]:
        """Log odds before calibration, float64 (prefix,)."""
        return np.asarray(self._classifier.decision_function(self._standardised(prefixes)), np.float64)

    def _learn_columns(self, training: Prefixes) -> NDArray[np.float32]:
        """Categories and scales of `training`, and its columns by them."""
        learnt = self._aggregates(training)
        self._num_categories = _with_clock(learnt).max(axis=0, initial=0) + 1
        columns = self._columns(learnt)
        self._mean, scale = columns.mean(axis=0), columns.std(axis=0)
        self._scale = np.where(scale > 0, scale, 1.0)
        return (columns - self._mean) / self._scale

    def _standardised(self, prefixes: Prefixes) -> NDArray[np.float32]:
        return (self._columns(self._aggregates(prefixes)) - self._mean) / self._scale

    def _columns(self, told: Aggregates) -> NDArray[np.float32]:
        categories = _with_clock(told)
        # Categories that the fit has not seen are none of them.
        indicators = [
            column[:, None] == np.arange(number)
            for column, number in zip(categories.T, self._num_categories, strict=True)
        ]
        return np.column_stack([np.log1p(told.amounts), told.numbers, *indicators]).astype(np.float32)

    def _aggregates(self, prefixes: Prefixes) -> Aggregates:
        return aggregates(prefixes, self._vocabulary, self._max_events, has_time=self._has_time)


def aggregates(prefixes: Prefixes, vocabulary: Vocabulary, max_events: int, *, has_time: bool = True) -> Aggregates:
    """What `prefixes` amount to, in their order.

    Args:
        prefixes: Histories.
        vocabulary: The network's.
        max_events: The network's longest history.
        has_time: Whether times count.
    """
    buckets = encode_buckets(prefixes, vocabulary, max_events)
    of_buckets = [_of_batch(encoded, vocabulary.size, has_time=has_time) for _, encoded in buckets]
    order = np.argsort(np.concatenate([indices for indices, _ in buckets]))
    return Aggregates(
        *(np.concatenate([getattr(told, column.name) for told in of_buckets])[order] for column in fields(Aggregates))
    )


def _of_batch(encoded: EncodedBatch, vocabulary_size: int, *, has_time: bool) -> Aggregates:
    event_ids = encoded.event_ids
    rows = np.arange(len(event_ids))
    counts = np.zeros((len(event_ids), vocabulary_size), np.float32)
    np.add.at(counts, (rows[:, None], event_ids), 1.0)

    last = encoded.events_used - 1
    last_id = event_ids[rows, last]
    id_before = np.where(last > 0, event_ids[rows, last - 1], PADDING_ID)
    times = _times(encoded) if has_time else []

    further = dict(encoded.further)
    minute_of_week = further.pop(SCORED_MINUTE_OF_WEEK, None)
    clock: list[NDArray[np.float32]] = []
    if minute_of_week is not None and has_time:
        clock = [minute_of_week % _MINUTES_PER_DAY // 60, minute_of_week // _MINUTES_PER_DAY]
    columns, are_categories = tabular(replace(encoded, further=further))
    is_category = np.array(are_categories, bool)
    return Aggregates(
        amounts=np.column_stack([counts[:, 1:], encoded.events_used, *times]).astype(np.float32),
        categories=np.column_stack([last_id, id_before, columns[:, is_category]]).astype(np.int32),
        numbers=columns[:, ~is_category],
        clock=np.array(clock, np.int32).T.reshape(len(rows), len(clock)),
    )


def _times(encoded: EncodedBatch) -> list[NDArray[np.float32]]:
    """Minutes of the last gap, since the first event, of the longest and the mean gap, and since the last event."""
    rows, last, minutes = np.arange(len(encoded.event_ids)), encoded.events_used - 1, encoded.elapsed_minutes
    is_gap = encoded.event_ids[:, 1:] != PADDING_ID
    gaps = np.where(is_gap, minutes[:, :-1] - minutes[:, 1:], 0.0)
    since_last = minutes[rows, last]
    last_gap = np.where(last > 0, minutes[rows, last - 1] - since_last, 0.0)
    mean_gap = gaps.sum(axis=1) / np.maximum(last, 1)
    # Negative where rounding makes them so: float32 minutes of long histories.
    return [np.maximum(m, 0) for m in (last_gap, minutes[:, 0], gaps.max(axis=1, initial=0.0), mean_gap, since_last)]


def _with_clock(told: Aggregates) -> NDArray[np.int32]:
    return np.column_stack([told.categories, told.clock])
