"""How events become arrays: the one encoding that training and service share.

Vocabulary        event type -> id
JoinedMinutes     elapsed minutes of many histories in one array
elapsed_minutes   absolute times -> minutes before the scoring moment
encode            histories -> right-padded arrays
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

PADDING_ID = 0
UNKNOWN_ID = 1
FIRST_EVENT_TYPE_ID = 2

MICROSECONDS_PER_MINUTE = 60_000_000

EventType = str | int


class _Ids(dict[EventType, int]):
    """Ids by event type; whatever has none is the unknown event."""

    def __missing__(self, event_type: EventType) -> int:
        return UNKNOWN_ID


class Vocabulary:
    """Event types and their ids: 0 is padding, 1 the unknown event, 2… the given types in order.

    An integer event type is the same type as its decimal text: 7 and "7" share an id.

    Args:
        event_types: The known types, each once.
    """

    def __init__(self, event_types: Iterable[str]) -> None:
        self.event_types = tuple(event_types)
        self._ids = _Ids()
        for event_id, event_type in enumerate(self.event_types, start=FIRST_EVENT_TYPE_ID):
            self._ids[event_type] = event_id
            if event_type.removeprefix("-").isdecimal() and str(int(event_type)) == event_type:
                self._ids[int(event_type)] = event_id
        self._packed = _Packed({event_type: _pack(event_id) for event_type, event_id in self._ids.items()})

    @property
    def size(self) -> int:
        """Number of ids in use, padding and unknown included: the rows of an embedding."""
        return len(self.event_types) + FIRST_EVENT_TYPE_ID

    def ids(self, event_types: Iterable[EventType]) -> list[int]:
        """Ids of `event_types` in order; a type outside the vocabulary is `UNKNOWN_ID`."""
        return list(map(self._ids.__getitem__, event_types))

    def id_array(self, event_types: Iterable[EventType]) -> NDArray[np.int32]:
        """`ids` as an array (time,), read-only, in two thirds of the time: no number becomes an object."""
        return np.frombuffer(b"".join(map(self._packed.__getitem__, event_types)), np.int32)


class _Packed(dict[EventType, bytes]):
    """Ids as the bytes of an int32."""

    def __missing__(self, _: EventType) -> bytes:
        return _UNKNOWN


def _pack(event_id: int) -> bytes:
    return np.int32(event_id).tobytes()


_UNKNOWN = _pack(UNKNOWN_ID)


class JoinedMinutes(Sequence[list[float]]):
    """Elapsed minutes of histories in one array, from which `encode` takes them as they are.

    Args:
        cells: float64 (cells,), history behind history.
        lengths: int64 (batch,), how many of them each history has.
    """

    def __init__(self, cells: NDArray[np.float64], lengths: NDArray[np.int64]) -> None:
        self.cells = cells
        self.lengths = lengths
        self.ends = lengths.cumsum()

    def __len__(self) -> int:
        return len(self.lengths)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JoinedMinutes):
            return NotImplemented
        return np.array_equal(self.cells, other.cells) and np.array_equal(self.lengths, other.lengths)

    __hash__ = None  # type: ignore[assignment]  # its arrays may change

    @overload
    def __getitem__(self, place: int) -> list[float]: ...

    @overload
    def __getitem__(self, place: slice) -> "list[list[float]]": ...

    def __getitem__(self, place: int | slice) -> list[float] | list[list[float]]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        end = self.ends[place]
        minutes: list[float] = self.cells[end - self.lengths[place] : end].tolist()
        return minutes


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Histories as the serving signature takes them, and what encoding did to each.

    Attributes:
        event_ids: int32 (batch, time), 0 where padded.
        elapsed_minutes: float32 (batch, time), minutes before the scoring moment, 0 where padded.
        events_used: int32 (batch,), events kept.
        events_truncated: int32 (batch,), older events left out.
        unknown_events: int32 (batch,), kept events outside the vocabulary.
        further: Of each further input of the model by its name, int32 or float32, (batch, time), 0 where padded, or
            (batch,); see `models.further_inputs`.
    """

    event_ids: NDArray[np.int32]
    elapsed_minutes: NDArray[np.float32]
    events_used: NDArray[np.int32]
    events_truncated: NDArray[np.int32]
    unknown_events: NDArray[np.int32]
    further: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The inputs of the serving signature, by name."""
        return {"event_ids": self.event_ids, "elapsed_minutes": self.elapsed_minutes, **self.further}

    def take(self, rows: NDArray[np.int64] | slice) -> "EncodedBatch":
        """The histories at the indices `rows`, in that order."""
        return EncodedBatch(
            event_ids=self.event_ids[rows],
            elapsed_minutes=self.elapsed_minutes[rows],
            events_used=self.events_used[rows],
            events_truncated=self.events_truncated[rows],
            unknown_events=self.unknown_events[rows],
            further={name: array[rows] for name, array in self.further.items()},
        )


def elapsed_minutes(times_microseconds: NDArray[np.int64], scored_at_microseconds: int) -> NDArray[np.float64]:
    """Minutes from each event to the scoring moment, float64 (time,).

    Subtracts in integers first: float32 minutes since 1970 would be two minutes apart.

    Args:
        times_microseconds: int64 (time,), event times since any fixed origin.
        scored_at_microseconds: The scoring moment since the same origin.
    """
    return (scored_at_microseconds - times_microseconds) / MICROSECONDS_PER_MINUTE


def encode(
    event_types: Sequence[Sequence[EventType]],
    elapsed_minutes: Sequence[Sequence[float]],
    vocabulary: Vocabulary,
    max_events: int,
    *,
    time: int | None = None,
) -> EncodedBatch:
    """Turn histories into right-padded arrays, keeping each one's latest `max_events` events.

    For example, with vocabulary ("login", "pay"), histories [["login"], ["pay", "refund"]] become event ids
    [[2, 0], [3, 1]].

    Args:
        event_types: One non-empty list a history, oldest event first.
        elapsed_minutes: Minutes before the scoring moment, aligned with `event_types`.
        vocabulary: The model's (`Manifest.vocabulary`).
        max_events: Longest history the model takes (`Manifest.max_events`).
        time: Padded length; by default that of the longest kept history.

    Returns:
        Arrays of shape (batch, time) and counts of shape (batch,).

    Raises:
        ValueError: There are not as many minutes as events.
    """
    if len(event_types) == 1 and time is None:
        return _encode_one(event_types[0], elapsed_minutes[0], vocabulary, max_events)
    lengths = np.array(list(map(len, event_types)), np.int32)
    events_used = np.minimum(lengths, np.int32(max_events))
    events_truncated = lengths - events_used
    if events_truncated.any():
        event_types = [history[-max_events:] for history in event_types]
        elapsed_minutes = [history[-max_events:] for history in elapsed_minutes]

    longest = int(events_used.max(initial=0))
    occupied = np.arange(longest if time is None else time, dtype=np.int32) < events_used[:, None]
    event_ids = np.full(occupied.shape, PADDING_ID, np.int32)
    event_ids[occupied] = vocabulary.id_array(chain.from_iterable(event_types))
    minutes = np.zeros(occupied.shape, np.float32)
    cells = (
        elapsed_minutes.cells
        if isinstance(elapsed_minutes, JoinedMinutes)
        else np.fromiter(chain.from_iterable(elapsed_minutes), np.float32)
    )
    # Another number of them is an error, also the one that NumPy would give to all events.
    minutes[occupied] = cells.reshape(int(events_used.sum()))
    return EncodedBatch(
        event_ids=event_ids,
        elapsed_minutes=minutes,
        events_used=events_used,
        events_truncated=events_truncated,
        unknown_events=(event_ids == UNKNOWN_ID).sum(axis=1, dtype=np.int32),
    )


def _encode_one(
    event_types: Sequence[EventType], elapsed_minutes: Sequence[float], vocabulary: Vocabulary, max_events: int
) -> EncodedBatch:
    """`encode` of a single history, five times as fast without the mask it does not need."""
    ids = vocabulary.ids(event_types[-max_events:])
    return EncodedBatch(
        event_ids=np.array([ids], np.int32),
        elapsed_minutes=np.array([elapsed_minutes[-max_events:]], np.float32),
        events_used=np.array([len(ids)], np.int32),
        events_truncated=np.array([len(event_types) - len(ids)], np.int32),
        unknown_events=np.array([ids.count(UNKNOWN_ID)], np.int32),
    )
