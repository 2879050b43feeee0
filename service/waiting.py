"""The line of sequences waiting for the model, and which of them leave together."""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count

import numpy as np

from models.sequences import EncodedBatch
from service.buckets import Buckets
from service.call import Call, Request, Rows

# Handing fewer rows than this to a thread costs about as much as padding them, so they are kept together.
FEWEST_ROWS_TO_SHARE = 32


@dataclass(slots=True, eq=False)
class _Parcel:
    """Rows of one request in one time bucket; `turn_rows` have left since it last stood at the back of the line."""

    rows: Rows
    ticket: int
    turn_rows: int = 0


class WaitingLine:
    """Sequences waiting for the model, by time bucket. Not thread-safe.

    The time bucket whose head waits longest leaves next, and shorter sequences fill what would be padding. A parcel
    that had a full batch to itself goes to the back of the line, so that a large request cannot starve small ones.

    Args:
        buckets: The shapes the model runs in.
    """

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._parcels: list[OrderedDict[Request, _Parcel]] = [OrderedDict() for _ in buckets.times]
        self._num_rows = [0] * len(buckets.times)
        self._tickets = count()
        self.num_waiting = 0

    def split(self, batch: EncodedBatch) -> list[tuple[int, Rows]]:
        """Rows of `batch` by time bucket, the longest first: (index into `Buckets.times`, rows)."""
        if len(batch.events_used) == 1:
            return [(self._buckets.time_index(int(batch.events_used[0])), np.zeros(1, np.intp))]
        places = np.searchsorted(self._buckets.times, batch.events_used)
        return [(place, np.flatnonzero(places == place)) for place in sorted(set(places.tolist()), reverse=True)]

    def join(self, request: Request, parcels: list[tuple[int, Rows]]) -> None:
        """Put `parcels` of `request` (from `split`) at the back of the line."""
        for place, rows in parcels:
            self._parcels[place][request] = _Parcel(rows, next(self._tickets))
            self._count(place, request, len(rows))

    def leave(self, request: Request) -> None:
        """Take whatever of `request` still waits out of the line."""
        for place, parcels in enumerate(self._parcels):
            parcel = parcels.pop(request, None)
            if parcel is not None:
                self._count(place, request, -len(parcel.rows))

    def take(self, num_free_slots: int, now: float) -> Call | None:
        """The next call, if anyone waits. Requests that are over leave the line instead.

        Args:
            num_free_slots: Slots without a call, the asking one included: they share what waits.
            now: Seconds of `time.monotonic()`.
        """
        while self.num_waiting:
            longest = self._oldest()
            request, _ = self._head(longest)
            if request.is_over(now):
                self.leave(request)
                continue
            share = max(FEWEST_ROWS_TO_SHARE, -(-self.num_waiting // num_free_slots))
            time = self._buckets.times[longest]
            room = self._best_batch(min(self._num_rows[longest], share), time)
            pieces: dict[Request, Rows] = {}
            num_rows = 0
            for place in range(longest, -1, -1):
                while num_rows < room and self._parcels[place]:
                    num_rows += self._draw(place, room - num_rows, now, pieces)
            # A caller may leave at any moment, even the head's since it was looked at.
            if num_rows:
                return Call(pieces, num_rows, self._buckets.batch_for(num_rows, time), time)
        return None

    def longest(self) -> int:
        """The longest time bucket anyone waits in, as an index into `Buckets.times`."""
        return max(place for place, parcels in enumerate(self._parcels) if parcels)

    def take_all(self, now: float) -> Call | None:
        """Everyone who waits, as one call; `take` says who leaves instead, and what `now` is.

        They must fit the largest batch.
        """
        while self.num_waiting:
            pieces: dict[Request, Rows] = {}
            longest, num_rows = self.longest(), 0
            for place in range(longest, -1, -1):
                while self._parcels[place]:
                    num_rows += self._draw(place, self.num_waiting, now, pieces)
            if num_rows:
                time = self._buckets.times[longest]
                return Call(pieces, num_rows, self._buckets.batch_for(num_rows, time), time)
        return None

    def _oldest(self) -> int:
        """The time bucket whose head waits longest."""
        waiting = (place for place, parcels in enumerate(self._parcels) if parcels)
        return min(waiting, key=lambda place: self._head(place)[1].ticket)

    def _head(self, place: int) -> tuple[Request, _Parcel]:
        return next(iter(self._parcels[place].items()))

    def _best_batch(self, num_rows: int, time: int) -> int:
        """The smallest batch size that holds `num_rows`, or a smaller one where less than half of it would be used."""
        sizes = self._buckets.batches_of(time)
        filled = sizes[max(0, bisect_right(sizes, num_rows) - 1)]
        if num_rows >= sizes[-1]:
            return filled
        holding = self._buckets.batch_for(num_rows, time)
        return filled if filled >= FEWEST_ROWS_TO_SHARE and 2 * num_rows < holding else holding

    def _draw(self, place: int, room: int, now: float, pieces: dict[Request, Rows]) -> int:
        """Move rows of a time bucket's head to `pieces`, at most `room`, and return how many."""
        request, parcel = self._head(place)
        if request.is_over(now):
            self.leave(request)
            return 0
        if len(parcel.rows) <= room:
            rows = parcel.rows
            del self._parcels[place][request]
        else:
            rows, parcel.rows = parcel.rows[:room], parcel.rows[room:]
            parcel.turn_rows += room
            if parcel.turn_rows >= self._buckets.batches_of(self._buckets.times[place])[-1]:
                parcel.turn_rows, parcel.ticket = 0, next(self._tickets)
                self._parcels[place].move_to_end(request)
        self._count(place, request, -len(rows))
        pieces[request] = np.concatenate((pieces[request], rows)) if request in pieces else rows
        return len(rows)

    def _count(self, place: int, request: Request, num_rows: int) -> None:
        self._num_rows[place] += num_rows
        request.num_waiting += num_rows
        self.num_waiting += num_rows
