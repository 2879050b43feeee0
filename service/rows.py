"""Rows of different lengths without a list for each: the cells of all rows behind each other.

Rows        event ids and elapsed minutes of a request's histories
OnDemand    a sequence whose elements are made when somebody asks for them
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from models.sequences import PADDING_ID, UNKNOWN_ID, EncodedBatch
from service.histories import Rules
from service.schemas import MAX_ELAPSED_MINUTES

Element = TypeVar("Element")


@dataclass(frozen=True, slots=True)
class Rows:
    """Event ids and elapsed minutes of histories, row behind row.

    Attributes:
        event_ids: int64 (cells,), 0 where padded.
        elapsed_minutes: float64 (cells,), 0 where padded.
        starts: int64 (batch,), first cell of each row.
        widths: int64 (batch,), cells of each row.
        lengths: int64 (batch,), those that hold an event; `widths` itself where nothing is padded.
    """

    event_ids: NDArray[np.int64]
    elapsed_minutes: NDArray[np.float64]
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, event_ids: NDArray[np.int64], elapsed_minutes: NDArray[np.float64], widths: NDArray[np.int64]) -> Self:
        """Rows with `widths` cells each; whatever stands in padded minutes is forgotten."""
        starts = widths.cumsum() - widths
        occupied = event_ids != PADDING_ID
        if occupied.all():
            return cls(event_ids, elapsed_minutes, starts, widths, widths)
        num_occupied = np.concatenate(([0], occupied.cumsum()))
        lengths = num_occupied[starts + widths] - num_occupied[starts]
        return cls(event_ids, np.where(occupied, elapsed_minutes, 0), starts, widths, lengths)

    def at_fault(self, vocabulary_size: int, rules: Rules) -> NDArray[np.intp]:
        """Rows that break a rule, ascending.

        Args:
            vocabulary_size: Ids in use, padding and unknown included.
            rules: What each row must obey.
        """
        if self._obey(vocabulary_size, rules):
            return np.zeros(0, np.intp)
        faults = (self.lengths == 0) | (self.lengths > rules.max_sequence_events)
        if len(self.event_ids):
            is_wrong = self._wrong_cells(vocabulary_size)
            faults[np.repeat(np.arange(len(self.widths)), self.widths)[is_wrong]] = True
            faults |= self._wrong_ends(rules)
        return np.flatnonzero(faults)

    def encode(self, max_events: int) -> EncodedBatch:
        """What `models.sequences.encode` makes of the same histories; each row holds an event.

        Args:
            max_events: Longest history the model takes (`Manifest.max_events`).
        """
        events_used = np.minimum(self.lengths, max_events)
        time, width = int(events_used.max()), int(self.widths[0])
        if width <= max_events and (self.widths == width).all():
            event_ids = self.event_ids.reshape(-1, width)[:, :time].astype(np.int32)
            minutes = self.elapsed_minutes.reshape(-1, width)[:, :time].astype(np.float32)
        else:
            position = np.arange(time)
            occupied = position < events_used[:, None]
            cells = (self.starts + self.lengths - events_used)[:, None] + position
            event_ids = np.where(occupied, self.event_ids.take(cells, mode="clip"), PADDING_ID).astype(np.int32)
            minutes = np.where(occupied, self.elapsed_minutes.take(cells, mode="clip"), 0).astype(np.float32)
        return EncodedBatch(
            event_ids=event_ids,
            elapsed_minutes=minutes,
            events_used=events_used.astype(np.int32),
            events_truncated=(self.lengths - events_used).astype(np.int32),
            unknown_events=(event_ids == UNKNOWN_ID).sum(axis=1, dtype=np.int32),
        )

    def spread(self, values: NDArray[Any], max_events: int) -> NDArray[Any]:
        """Values of all cells as `encode` arranges event ids, (batch, time), 0 where padded.

        Args:
            values: (cells,); in padded ones anything.
            max_events: Longest history the model takes.
        """
        events_used = np.minimum(self.lengths, max_events)
        position = np.arange(int(events_used.max()))
        occupied = position < events_used[:, None]
        cells = (self.starts + self.lengths - events_used)[:, None] + position
        return np.where(occupied, values.take(cells, mode="clip"), np.zeros((), values.dtype))

    def events(self, row: int) -> slice:
        """The cells of a row that hold its events."""
        start = int(self.starts[row])
        return slice(start, start + int(self.lengths[row]))

    def _obey(self, vocabulary_size: int, rules: Rules) -> bool:
        """Whether no row is at fault, in a third of the time it takes to find one."""
        return bool(
            self.lengths.min() > 0
            and self.lengths.max() <= rules.max_sequence_events
            and self.event_ids.min() >= PADDING_ID
            and self.event_ids.max() < vocabulary_size
            # NaN compares false.
            and self.elapsed_minutes.min() >= 0
            and self.elapsed_minutes.max() <= MAX_ELAPSED_MINUTES
            and not self._breaks_order().any()
            and not self._wrong_ends(rules).any()
        )

    def _wrong_cells(self, vocabulary_size: int) -> NDArray[np.bool_]:
        ids, minutes = self.event_ids, self.elapsed_minutes
        is_wrong = ~((ids >= PADDING_ID) & (ids < vocabulary_size) & (minutes >= 0) & (minutes <= MAX_ELAPSED_MINUTES))
        is_wrong[1:] |= self._breaks_order()
        return is_wrong

    def _breaks_order(self) -> NDArray[np.bool_]:
        """For each cell but the first: whether it is later than the one before in its row, or follows padding."""
        breaks_order = self.elapsed_minutes[1:] > self.elapsed_minutes[:-1]
        if self.lengths is not self.widths:
            occupied = self.event_ids != PADDING_ID
            breaks_order |= occupied[1:] > occupied[:-1]
        if len(self.starts) > 1:
            breaks_order[self.starts[self.widths > 0][1:] - 1] = False
        return breaks_order

    def _wrong_ends(self, rules: Rules) -> NDArray[np.bool_]:
        """Rows whose oldest used event or last event breaks a rule; of an empty row it says nothing."""
        ends = self.starts + self.lengths
        # Before an empty row lies another one's cell.
        oldest = self.elapsed_minutes[ends - np.minimum(np.maximum(self.lengths, 1), rules.max_events)]
        is_wrong: NDArray[np.bool_] = oldest > rules.max_elapsed_minutes
        if not rules.scores_between_events:
            is_wrong |= self.elapsed_minutes[ends - 1] != 0
        return is_wrong


class OnDemand(Sequence[Element]):
    """A sequence whose elements are made when somebody asks for them.

    Args:
        length: Of the sequence.
        make: Its element at a place from 0.
    """

    def __init__(self, length: int, make: Callable[[int], Element]) -> None:
        self._places = range(length)
        self._make = make

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Element: ...

    @overload
    def __getitem__(self, place: slice) -> list[Element]: ...

    def __getitem__(self, place: int | slice) -> Element | list[Element]:
        if isinstance(place, slice):
            return [self._make(one) for one in self._places[place]]
        return self._make(self._places[place])
