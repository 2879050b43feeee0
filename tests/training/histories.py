"""Small logs, by hand or drawn."""

from collections.abc import Sequence

import numpy as np

from training.eventlog import EventLog

_MICROSECONDS_PER_DAY = 86_400_000_000


def log_of(
    event_types: Sequence[Sequence[str]],
    *,
    days: Sequence[Sequence[float]] | None = None,
    labels: Sequence[int] | None = None,
    entities: Sequence[str] | None = None,
) -> EventLog:
    """Sequences in order; by default one event a day, and labels 0 and 1 in turn."""
    lengths = [len(types) for types in event_types]
    times = [range(number) for number in lengths] if days is None else days
    return EventLog(
        sequence_ids=np.array([f"s{number}" for number in range(len(lengths))], object),
        labels=np.array(labels if labels is not None else np.arange(len(lengths)) % 2, np.int8),
        offsets=np.append(0, np.cumsum(lengths)),
        event_types=np.array([event_type for types in event_types for event_type in types], object),
        times_microseconds=np.array([day * _MICROSECONDS_PER_DAY for of in times for day in of]).astype(np.int64),
        has_calendar_time=True,
        entities=None if entities is None else np.array(entities, object),
    )


def random_log(seed: int, num_sequences: int, entities: Sequence[str] | None = None) -> EventLog:
    generator = np.random.default_rng(seed)
    types = [
        generator.choice(["login", "pay", "browse"], int(generator.integers(1, 7))).tolist()
        for _ in range(num_sequences)
    ]
    return log_of(types, labels=(generator.permutation(num_sequences) % 2).tolist(), entities=entities)
