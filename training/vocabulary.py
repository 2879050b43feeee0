"""The vocabulary: which event types of the fit slice are frequent enough to be told apart."""

import numpy as np

from models.sequences import Vocabulary
from training.eventlog import EventLog, EventLogError


def build_vocabulary(log: EventLog, min_count: int) -> Vocabulary:
    """Event types seen at least `min_count` times in `log`, most frequent first, equally frequent ones by name.

    Raises:
        EventLogError: There is none.
    """
    event_types, counts = np.unique(log.event_types.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    frequent = [str(event_types[index]) for index in order if counts[index] >= min_count]
    if not frequent:
        raise EventLogError(
            f"Expected an event type seen at least {min_count} times in the fit part. Received: none. "
            "Give a longer log or lower vocabulary.min_count."
        )
    return Vocabulary(frequent)
