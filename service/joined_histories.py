"""The rules of many histories at once, over whole arrays; what breaks one is looked for in `service.histories`.

FEWEST_SEQUENCES     from how many on that takes less time
JoinedHistories      event types and elapsed minutes of a request's sequences
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np

from models.sequences import EventType, JoinedMinutes
from service.histories import Rules
from service.schemas import SequenceBody

FEWEST_SEQUENCES = 8


@dataclass(frozen=True, slots=True)
class JoinedHistories:
    """Histories that obey every rule.

    Attributes:
        event_types: Oldest event first.
        elapsed_minutes: Aligned with `event_types`.
    """

    event_types: list[list[EventType]]
    elapsed_minutes: JoinedMinutes

    @classmethod
    def of(cls, sequences: Sequence[SequenceBody], rules: Rules) -> Self | None:
        """Bring sequences that satisfy the schema into the one form the model takes.

        Args:
            sequences: At least one.
            rules: Without further inputs.

        Returns:
            None if some sequence has another form than `event_types` with `elapsed_minutes`, or breaks a rule.
        """
        if any(len(sequence) != 2 + ("id" in sequence) for sequence in sequences):
            return None
        try:
            event_types = [sequence["event_types"] for sequence in sequences]
            minutes = [sequence["elapsed_minutes"] for sequence in sequences]
        except KeyError:
            return None
        num_events = list(map(len, event_types))
        if num_events != list(map(len, minutes)) or max(num_events) > rules.max_sequence_events:
            return None
        joined = JoinedMinutes(np.fromiter(chain.from_iterable(minutes), np.float64), np.array(num_events))
        return cls(event_types, joined) if _obey(joined, rules) else None


def _obey(minutes: JoinedMinutes, rules: Rules) -> bool:
    """Whether elapsed minutes obey what `service.histories.check_minutes` checks."""
    cells, lengths, ends = minutes.cells, minutes.lengths, minutes.ends
    increases = cells[1:] > cells[:-1]
    # From one history to the next they may.
    increases[ends[:-1] - 1] = False
    oldest = cells[ends - np.minimum(lengths, rules.max_events)]
    return not (
        increases.any()
        or (cells[ends - 1].any() and not rules.scores_between_events)
        or oldest.max() > rules.max_elapsed_minutes
    )
