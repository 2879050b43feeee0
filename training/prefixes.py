"""Prefixes: every history a sequence has had, event by event.

A model that is asked during a sequence's life must be trained and judged on histories cut at every event. Scoring
whole sequences only gives the label away: those with label 0 run to their natural end, the others stop early.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.sequences import EncodedBatch, Vocabulary, elapsed_minutes, encode
from training.eventlog import EventLog

_SCORED_SHARE_OF_POSITIVES = 0.9


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Histories of a log; prefix i is the first `lengths[i]` events of sequence `sequences[i]`.

    Attributes:
        log: The log they are cut from.
        sequences: int64 (prefix,), indices into the log.
        lengths: int64 (prefix,), events, at least 1.
    """

    log: EventLog
    sequences: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.float32]:
        """Label of each prefix's sequence, float32 (prefix,), 0 or 1."""
        return self.log.labels[self.sequences].astype(np.float32)

    def __len__(self) -> int:
        return len(self.sequences)

    def take(self, chosen: NDArray[np.int64]) -> "Prefixes":
        """The prefixes at the indices `chosen`, in that order."""
        return Prefixes(self.log, self.sequences[chosen], self.lengths[chosen])

    def history(self, index: int, max_events: int) -> tuple[list[str], list[float]]:
        """Event types and elapsed minutes of one prefix, its latest `max_events` events; scored at its last event."""
        start = self.log.offsets[self.sequences[index]]
        end = start + self.lengths[index]
        kept = slice(max(start, end - max_events), end)
        times = self.log.times_microseconds[kept]
        return self.log.event_types[kept].tolist(), elapsed_minutes(times, int(times[-1])).tolist()

    def encoded(self, vocabulary: Vocabulary, max_events: int) -> EncodedBatch:
        """All prefixes as the network takes them, arrays of shape (prefix, time)."""
        histories = [self.history(index, max_events) for index in range(len(self))]
        return encode([types for types, _ in histories], [minutes for _, minutes in histories], vocabulary, max_events)


def cut_prefixes(log: EventLog, longest: int | None = None) -> Prefixes:
    """Every prefix of every sequence, of at most `longest` events if given, in the log's order."""
    lengths = log.lengths if longest is None else np.minimum(log.lengths, longest)
    ends = np.cumsum(lengths)
    return Prefixes(
        log,
        sequences=np.repeat(np.arange(log.num_sequences), lengths),
        lengths=np.arange(1, lengths.sum() + 1) - np.repeat(ends - lengths, lengths),
    )


def longest_scored_prefix(log: EventLog, limit: int) -> int:
    """Longest prefix worth judging: few sequences, hardly any with label 1, are longer.

    min(limit, ceil(90 % quantile of the lengths of sequences with label 1)), after Teinemaa et al. 2019, §5.2.
    """
    return min(limit, int(np.ceil(np.quantile(log.lengths[log.labels == 1], _SCORED_SHARE_OF_POSITIVES))))
