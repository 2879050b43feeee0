"""The vocabulary: which event types of the fit slice are frequent enough to be told apart."""

from collections import Counter

from models.sequences import Vocabulary
from training.eventlog import EventLog
from training.rows import EventLogError


def build_vocabulary(log: EventLog, min_count: int) -> Vocabulary:
    """Event types seen at least `min_count` times in `log`, most frequent first, equally frequent ones by name.

    Raises:
        EventLogError: There is none.
    """
    counts = Counter(log.event_types.tolist())
    frequent = [event_type for event_type, count in counts.items() if count >= min_count]
    if not frequent:
        raise EventLogError(
            f"Expected an event type seen at least {min_count} times in the fit part. Received: none. "
            "Give a longer log or lower vocabulary.min_count."
        )
    return Vocabulary(sorted(frequent, key=lambda event_type: (-counts[event_type], event_type)))
