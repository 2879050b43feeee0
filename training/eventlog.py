"""The event log: sequences by start, each one's events by time, and what was known of them when."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.sequences import Vocabulary
from training.columns import Column
from training.rows import NOT_YET

_PER_SEQUENCE = ("sequence_ids", "labels", "label_times_microseconds", "entities", "split_values", "was_unordered")


@dataclass(frozen=True, slots=True)
class EventLog:
    """Sequences in order of their start; the events of sequence i are `offsets[i]:offsets[i + 1]`, oldest first.

    Attributes:
        sequence_ids: object (sequence,), text as in the file.
        labels: int8 (sequence,), 0 or 1; 0 where the outcome is not known yet.
        offsets: int64 (sequence + 1,).
        event_types: object (event,), text as in the file, equal ones being one object in memory.
        times_microseconds: int64 (event,), since 1970 if `has_calendar_time`, else since the log's own origin.
        has_calendar_time: Whether times were given as ISO-8601.
        has_common_origin: Whether times of different sequences can be compared.
        label_times_microseconds: int64 (sequence,), when each label became known, `NOT_YET` where it has not; None
            where the log does not say, and every label counts as known.
        label_horizon_microseconds: Label 1 means that the outcome follows within so long; None for ever.
        observed_until_microseconds: What happened from this moment on is not in the log; None for its very end.
        entities: object (sequence,), whose sequence it is, where one has several.
        split_values: object (sequence,), the part each sequence was given to by hand.
        was_unordered: bool (sequence,), whether its rows were not in order of time in the file.
        further_labels: Labels beside the first, by their column: float32 (sequence,), 0 or 1, NaN where missing.
        columns: Of each further input but the clock, by its name.
        has_clock: Whether the clock of the scoring moment is an input.
    """

    sequence_ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    offsets: NDArray[np.int64]
    event_types: NDArray[np.object_]
    times_microseconds: NDArray[np.int64]
    has_calendar_time: bool
    has_common_origin: bool = True
    label_times_microseconds: NDArray[np.int64] | None = None
    label_horizon_microseconds: int | None = None
    observed_until_microseconds: int | None = None
    entities: NDArray[np.object_] | None = None
    split_values: NDArray[np.object_] | None = None
    was_unordered: NDArray[np.bool_] | None = None
    further_labels: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    has_clock: bool = False

    @property
    def num_sequences(self) -> int:
        """Number of sequences."""
        return len(self.labels)

    @property
    def num_events(self) -> int:
        """Number of events of all sequences."""
        return len(self.event_types)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each sequence, int64 (sequence,)."""
        return np.diff(self.offsets)

    @property
    def starts_microseconds(self) -> NDArray[np.int64]:
        """Time of each sequence's first event, int64 (sequence,), ascending."""
        return self.times_microseconds[self.offsets[:-1]]

    @property
    def has_both_labels(self) -> bool:
        """Whether there is a sequence of either class."""
        return len(np.unique(self.labels)) == 2

    @property
    def observed_until(self) -> int:
        """The moment from which on nothing is known, in microseconds: just after the latest one, if not told."""
        if self.observed_until_microseconds is not None:
            return self.observed_until_microseconds
        latest = int(self.times_microseconds.max())
        if self.label_times_microseconds is not None:
            known = self.label_times_microseconds[self.label_times_microseconds != NOT_YET]
            latest = max(latest, int(known.max(initial=latest)))
        return latest + 1

    def event_ids(self, vocabulary: Vocabulary) -> NDArray[np.int32]:
        """Ids of all events, int32 (event,)."""
        return np.array(vocabulary.ids(self.event_types.tolist()), np.int32)

    def sequences(self, first: int, last: int) -> "EventLog":
        """Sequences `first` (included) to `last` (excluded)."""
        return self._of(slice(first, last), slice(self.offsets[first], self.offsets[last]), self.lengths[first:last])

    def where(self, is_chosen: NDArray[np.bool_]) -> "EventLog":
        """The sequences marked in `is_chosen`, bool (sequence,)."""
        return self._of(is_chosen, np.repeat(is_chosen, self.lengths), self.lengths[is_chosen])

    def before(self, moment_microseconds: int) -> "EventLog":
        """What was known before `moment_microseconds`.

        Later events are dropped, and sequences left without any. So are labels that came later: a sequence without a
        label is dropped too, unless within a horizon even its silence tells something.
        """
        is_kept = self.times_microseconds < moment_microseconds
        num_kept = np.diff(np.concatenate([[0], np.cumsum(is_kept)])[self.offsets])
        is_left = num_kept > 0
        told = self.observed_until_microseconds
        until = moment_microseconds if told is None else min(moment_microseconds, told)
        left = replace(self._of(is_left, is_kept, num_kept[is_left]), observed_until_microseconds=until)
        label_times = left.label_times_microseconds
        if label_times is None:
            return left
        is_known = label_times < moment_microseconds
        if left.label_horizon_microseconds is None:
            return left.where(is_known)
        return replace(
            left,
            labels=np.where(is_known, left.labels, 0).astype(np.int8),
            label_times_microseconds=np.where(is_known, label_times, NOT_YET),
        )

    def _of(
        self, sequences: slice | NDArray[np.bool_], events: slice | NDArray[np.bool_], lengths: NDArray[np.int64]
    ) -> "EventLog":
        columns = {name: getattr(self, name) for name in _PER_SEQUENCE}
        chosen: dict[str, Any] = {
            name: values if values is None else values[sequences] for name, values in columns.items()
        }
        chosen["offsets"] = np.concatenate([[0], np.cumsum(lengths)])
        chosen["event_types"] = self.event_types[events]
        chosen["times_microseconds"] = self.times_microseconds[events]
        chosen["further_labels"] = {name: labels[sequences] for name, labels in self.further_labels.items()}
        chosen["columns"] = {name: column.take(sequences, events) for name, column in self.columns.items()}
        return replace(self, **chosen)
