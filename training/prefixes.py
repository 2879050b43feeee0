"""Prefixes: every history a sequence has had, at the moments at which a model is asked.

A model that is asked during a sequence's life must be trained and judged on histories cut at every event. Scoring
whole sequences only gives the label away: those with label 0 run to their natural end, the others stop early.

Where the log says when its labels became known (`label_times_microseconds`), a query is a moment q with

    outcome at L, asked how things stand at q, horizon H (for ever without one), observed until T
    asked at all    q < L                  afterwards there is nothing left to predict
    label           1 if L ≤ q + H and the outcome happened, else 0
    kept            min(L, q + H) < T      otherwise the answer was not known yet (censored)
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import SCORED_MINUTE_OF_WEEK, minute_of_week
from models.sequences import MICROSECONDS_PER_MINUTE, PADDING_ID, UNKNOWN_ID, EncodedBatch, Vocabulary, elapsed_minutes
from training.config import Histories
from training.eventlog import EventLog
from training.rows import NOT_YET, EventLogError

_SCORED_SHARE_OF_POSITIVES = 0.9


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Histories of a log; prefix i is the first `lengths[i]` events of sequence `sequences[i]`.

    Attributes:
        log: The log they are cut from.
        sequences: int64 (prefix,), indices into the log.
        lengths: int64 (prefix,), events, at least 1.
        asked_microseconds: int64 (prefix,), the moment scored: that of the last event or, between events, later.
        labels: float32 (prefix,), 0 or 1.
        histories: Whether every event is asked about, or each sequence once, at its end.
    """

    log: EventLog
    sequences: NDArray[np.int64]
    lengths: NDArray[np.int64]
    asked_microseconds: NDArray[np.int64]
    labels: NDArray[np.float32]
    histories: Histories = "every_event"

    def __len__(self) -> int:
        return len(self.sequences)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Prefixes":
        """The prefixes at the indices `chosen`, in that order, or those marked in it."""
        return replace(
            self,
            sequences=self.sequences[chosen],
            lengths=self.lengths[chosen],
            asked_microseconds=self.asked_microseconds[chosen],
            labels=self.labels[chosen],
        )

    @property
    def strata(self) -> NDArray[np.int64]:
        """What they are ranked within, int64 (prefix,): their length; 0 for whole ones, whose lengths hardly repeat."""
        return np.zeros_like(self.lengths) if self.histories == "whole" else self.lengths

    def history(self, index: int, max_events: int) -> tuple[list[str], list[float]]:
        """Event types and elapsed minutes of one prefix, its latest `max_events` events."""
        start = self.log.offsets[self.sequences[index]]
        end = start + self.lengths[index]
        kept = slice(max(start, end - max_events), end)
        minutes = elapsed_minutes(self.log.times_microseconds[kept], int(self.asked_microseconds[index]))
        return self.log.event_types[kept].tolist(), minutes.tolist()

    def encoded(self, vocabulary: Vocabulary, max_events: int) -> EncodedBatch:
        """All prefixes as the network takes them, arrays of shape (prefix, time)."""
        return self.encoded_from(self.log.event_ids(vocabulary), max_events)

    def encoded_from(self, event_ids: NDArray[np.int32], max_events: int) -> EncodedBatch:
        """`encoded` from ids at hand: what `models.sequences.encode` gives for every `history`, without its lists.

        Args:
            event_ids: int32 (event,), of the log's `event_ids`.
            max_events: Longest history the model takes.
        """
        events_used = np.minimum(self.lengths, max_events)
        ends = self.log.offsets[self.sequences] + self.lengths
        steps = np.arange(events_used.max(initial=0))
        is_event = steps < events_used[:, None]
        events = (ends - events_used)[:, None] + np.where(is_event, steps, 0)
        ids = np.where(is_event, event_ids[events], np.int32(PADDING_ID))
        minutes = (self.asked_microseconds[:, None] - self.log.times_microseconds[events]) / MICROSECONDS_PER_MINUTE
        return EncodedBatch(
            event_ids=ids,
            elapsed_minutes=np.where(is_event, minutes, 0.0).astype(np.float32),
            events_used=events_used.astype(np.int32),
            events_truncated=(self.lengths - events_used).astype(np.int32),
            unknown_events=np.count_nonzero(ids == UNKNOWN_ID, axis=1).astype(np.int32),
            further=self._further(events, is_event),
        )

    def _further(self, events: NDArray[np.int64], is_event: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """The further inputs, given the log's event in each cell, int64 (prefix, time), and which cells hold one."""
        further = {
            name: column.values[self.sequences]
            if column.per == "sequence"
            else np.where(is_event, column.values[events], np.zeros((), column.values.dtype))
            for name, column in self.log.columns.items()
        }
        if self.log.has_clock:
            further[SCORED_MINUTE_OF_WEEK] = minute_of_week(self.asked_microseconds).astype(np.float32)
        return further


def cut_prefixes(
    log: EventLog,
    longest: int | None = None,
    *,
    histories: Histories = "every_event",
    between_events: float = 0.0,
    seed: int = 0,
) -> Prefixes:
    """The moments of each sequence's life at which a model is asked, in the log's order.

    Args:
        log: What to cut.
        longest: Most events of a prefix; whole histories are never cut short.
        histories: Whether to ask at every event, or once of a whole sequence.
        between_events: Chance that a prefix is asked once more, in the silence after its last event.
        seed: Seed of those moments.

    Raises:
        EventLogError: The labels known within the horizon leave no prefix.
    """
    sequences, lengths = _whole(log) if histories == "whole" else _at_every_event(log, longest)
    asked = log.times_microseconds[log.offsets[sequences] + lengths - 1]
    if between_events:
        further, moments = _between_events(log, sequences, lengths, between_events, seed)
        sequences, lengths, asked = (
            np.append(column, more)
            for column, more in ((sequences, sequences[further]), (lengths, lengths[further]), (asked, moments))
        )
        order = np.lexsort((asked, lengths, sequences))
        sequences, lengths, asked = sequences[order], lengths[order], asked[order]
    labels = log.labels[sequences].astype(np.float32)
    prefixes = Prefixes(log, sequences, lengths, asked, labels, histories)
    return prefixes if log.label_times_microseconds is None else _with_known_labels(prefixes)


def longest_scored_prefix(log: EventLog, limit: int) -> int:
    """Longest prefix worth judging: few sequences, hardly any with label 1, are longer.

    min(limit, ceil(90 % quantile of the lengths of sequences with label 1)), after Teinemaa et al. 2019, §5.2.
    """
    return min(limit, int(np.ceil(np.quantile(log.lengths[log.labels == 1], _SCORED_SHARE_OF_POSITIVES))))


def _whole(log: EventLog) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.arange(log.num_sequences), log.lengths


def _at_every_event(log: EventLog, longest: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lengths = log.lengths if longest is None else np.minimum(log.lengths, longest)
    ends = np.cumsum(lengths)
    sequences = np.repeat(np.arange(log.num_sequences), lengths)
    return sequences, np.arange(1, lengths.sum() + 1) - np.repeat(ends - lengths, lengths)


def _between_events(
    log: EventLog, sequences: NDArray[np.int64], lengths: NDArray[np.int64], chance: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Prefixes, drawn with `chance`, that are asked once more in the silence after their last event, and when.

    log(1 + minutes of silence) is uniform, so that seconds are learnt from as well as weeks. A silence ends with the
    next event; the last one with the label or the end of observation where the log says when that was, else it is
    unknown how long the sequence stayed silent, and nothing is drawn from it.
    """
    last = log.offsets[sequences] + lengths - 1
    silent_from = log.times_microseconds[last]
    is_final = last + 1 == log.offsets[sequences + 1]
    silent_until = np.where(is_final, silent_from, log.times_microseconds[np.minimum(last + 1, log.num_events - 1)])
    if log.label_times_microseconds is not None:
        settled = np.minimum(log.label_times_microseconds[sequences], log.observed_until)
        silent_until = np.where(is_final, settled, silent_until)

    generator = np.random.default_rng(seed)
    is_drawn, position = generator.random(len(last)) < chance, generator.random(len(last))
    microseconds = silent_until - silent_from
    minutes = np.expm1(position * np.log1p(np.maximum(microseconds, 0) / MICROSECONDS_PER_MINUTE))
    silence = np.clip(np.rint(minutes * MICROSECONDS_PER_MINUTE).astype(np.int64), 1, np.maximum(microseconds - 1, 1))
    further = np.flatnonzero(is_drawn & (microseconds > 1))
    return further, (silent_from + silence)[further]


def _with_known_labels(prefixes: Prefixes) -> Prefixes:
    log = prefixes.log
    horizon, label_times = log.label_horizon_microseconds, log.label_times_microseconds
    known = np.full(log.num_sequences, NOT_YET) if label_times is None else label_times
    known = known[prefixes.sequences]
    asked_until = np.full_like(known, NOT_YET) if horizon is None else prefixes.asked_microseconds + horizon
    labels = np.where(known <= asked_until, prefixes.labels, 0).astype(np.float32)
    is_kept = (prefixes.asked_microseconds < known) & (np.minimum(known, asked_until) < log.observed_until)
    if not is_kept.any():
        raise EventLogError(
            f"Expected queries with an answer that was known in time. Received: none of {len(prefixes):,}. "
            "Give a longer log, or a shorter data.label_horizon_minutes."
        )
    return replace(prefixes, labels=labels).take(is_kept)
