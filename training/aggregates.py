"""Running aggregates: what was counted and measured from the first event on, computed in the graph.

What gradient boosting is given, so that the network need not rediscover it; fused as tabular features are beside a
sequence in nuFormer (arXiv 2507.23267, §3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from training.network_config import Aggregate

# 2^14 events, more than serving.max_events may be.
_MOST_DOUBLINGS = 14
_LARGEST_LOGARITHM = 15.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums up to an event, each float32 (…, 1) but `counts`, which is (…, ids).

    Attributes:
        counts: Events of each id; padding's own place stays 0.
        length: Events.
        since_start: Minutes since the first event.
        largest_gap: Minutes of the longest gap.
        last_gap: Minutes of the latest one.
        since_last: Minutes from the event to the scoring moment, known at the end alone.
    """

    counts: keras.KerasTensor | None
    length: keras.KerasTensor
    since_start: keras.KerasTensor
    largest_gap: keras.KerasTensor
    last_gap: keras.KerasTensor
    since_last: keras.KerasTensor | None = None


@keras.saving.register_keras_serializable("seqrisk")
class RunningAggregates(keras.layers.Layer):
    """Aggregates of the events up to and including each one, or up to the last one.

        counts_v     log(1 + number of events with id v), one number an id but padding's
        length       log(1 + n)
        since_start  log(1 + d_1 + … + d_n)
        last_gap     log(1 + d_n)
        largest_gap  log(1 + max(d_1, …, d_n))
        mean_gap     log(1 + (d_2 + … + d_n) / (n - 1)), 0 at the first event
        since_last   log(1 + a_n), at the end alone

    With P pieces, each x of these but counts is told again as P numbers, min(max(x P / 15 - p, 0), 1), p = 0 … P - 1
    (piecewise linear: Gorishniy et al. 2022, arXiv 2203.05556, §3.1, here with equal steps up to e^15 minutes, six
    years): a layer above can then learn a threshold, such as a deadline, which of x alone it hardly does.

    Args:
        aggregates: Which, in the order of the output.
        vocabulary_size: Ids in use, padding and unknown included.
        is_per_event: One row an event rather than one a sequence; `since_last` has none.
        num_pieces: P; 0 is none.
        options: As of every Keras layer.
    """

    def __init__(
        self,
        aggregates: Sequence[Aggregate],
        vocabulary_size: int,
        is_per_event: bool,
        num_pieces: int = 0,
        **options: object,
    ) -> None:
        super().__init__(**options)
        self.aggregates = tuple(aggregates)
        self.vocabulary_size = vocabulary_size
        self.is_per_event = is_per_event
        self.num_pieces = num_pieces

    @property
    def width(self) -> int:
        """Numbers of one row."""
        of_amount = 1 + self.num_pieces
        return sum(self.vocabulary_size - 1 if name == "counts" else of_amount for name in self.aggregates)

    def call(
        self,
        event_ids: keras.KerasTensor,
        gaps_minutes: keras.KerasTensor,
        elapsed_minutes: keras.KerasTensor,
        mask: keras.KerasTensor,
    ) -> keras.KerasTensor:
        """Aggregate sequences.

        Args:
            event_ids: int32 (batch, time).
            gaps_minutes: d, float32 (batch, time), finite.
            elapsed_minutes: a, float32 (batch, time); anything where padded.
            mask: bool (batch, time), true at events.

        Returns:
            float32 (batch, time, width), of no meaning where padded; or (batch, width).
        """
        is_event = ops.cast(mask, "float32")[..., None]
        gaps = gaps_minutes[..., None] * is_event
        ones = ops.one_hot(event_ids, self.vocabulary_size) * is_event if "counts" in self.aggregates else None
        if self.is_per_event:
            counts = None if ones is None else ops.cumsum(ones, 1)
            length, since_start = ops.cumsum(is_event, 1), ops.cumsum(gaps, 1)
            totals = Totals(counts, length, since_start, running_maximum(gaps), gaps)
        else:
            counts = None if ones is None else ops.sum(ones, 1)
            length, since_start = ops.sum(is_event, 1), ops.sum(gaps, 1)
            last_gap = at_last_event(gaps, mask)
            since_last = ops.maximum(at_last_event(elapsed_minutes[..., None], mask), 0.0)
            totals = Totals(counts, length, since_start, ops.max(gaps, 1), last_gap, since_last)
        return self.row(totals)

    def first_totals(self, batch: int) -> Totals:
        """Totals before the first event of `batch` sequences."""
        zeros = ops.zeros((batch, 1))
        counts = ops.zeros((batch, self.vocabulary_size)) if "counts" in self.aggregates else None
        return Totals(counts, zeros, zeros, zeros, zeros)

    def next_totals(self, totals: Totals, event_ids: keras.KerasTensor, gap_minutes: keras.KerasTensor) -> Totals:
        """Totals with one more event, its id int32 (batch,) and the gap before it float32 (batch, 1)."""
        counts = None if totals.counts is None else totals.counts + ops.one_hot(event_ids, self.vocabulary_size)
        return Totals(
            counts,
            totals.length + 1,
            totals.since_start + gap_minutes,
            ops.maximum(totals.largest_gap, gap_minutes),
            gap_minutes,
        )

    def row(self, totals: Totals) -> keras.KerasTensor:
        """The aggregates that `totals` give, (…, width)."""
        values = {
            "counts": None if totals.counts is None else totals.counts[..., 1:],
            "length": totals.length,
            "since_start": totals.since_start,
            "last_gap": totals.last_gap,
            "largest_gap": totals.largest_gap,
            "mean_gap": totals.since_start / ops.maximum(totals.length - 1, 1.0),
            "since_last": totals.since_last,
        }
        row = ops.log1p(ops.concatenate([values[name] for name in self.aggregates], -1))
        if not self.num_pieces:
            return row
        amounts = ops.concatenate([values[name] for name in self.aggregates if name != "counts"], -1)
        return ops.concatenate([row, self._pieces(amounts)], -1)

    def _pieces(self, amounts: keras.KerasTensor) -> keras.KerasTensor:
        """Pieces of logarithms, (…, amounts * pieces), of amounts, (…, amounts)."""
        passed = ops.log1p(amounts)[..., None] * (self.num_pieces / _LARGEST_LOGARITHM)
        pieces = ops.clip(passed - ops.arange(self.num_pieces, dtype="float32"), 0.0, 1.0)
        return ops.reshape(pieces, (*ops.shape(amounts)[:-1], amounts.shape[-1] * self.num_pieces))

    def compute_output_shape(
        self, event_ids_shape: tuple[int | None, ...], *others: tuple[int | None, ...], **named: object
    ) -> tuple[int | None, ...]:
        """(batch, time, width) or (batch, width)."""
        return (*event_ids_shape[: 2 if self.is_per_event else 1], self.width)

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the layer again."""
        return {
            **super().get_config(),
            "aggregates": self.aggregates,
            "vocabulary_size": self.vocabulary_size,
            "is_per_event": self.is_per_event,
            "num_pieces": self.num_pieces,
        }


def running_maximum(values: keras.KerasTensor) -> keras.KerasTensor:
    """Largest of the values up to each step, float32 (batch, time, width), values at least 0.

    By doubling (Hillis & Steele 1986, Communications of the ACM 29(12)): no loop, which XLA could not take apart.
    """
    for doubling in range(_MOST_DOUBLINGS):
        shift = 2**doubling
        # Whatever the number of steps, these are as many: a slice ends where the steps do.
        earlier = ops.concatenate([ops.zeros_like(values)[:, :shift], values[:, :-shift]], 1)
        values = ops.maximum(values, earlier)
    return values


def at_last_event(values: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """The values at each sequence's last event, (batch, width), of `values`, (batch, time, width), right-padded."""
    is_later = ops.pad(mask[:, 1:], ((0, 0), (0, 1)))
    is_last = ops.logical_and(mask, ops.logical_not(is_later))
    return ops.sum(ops.where(is_last[..., None], values, 0.0), 1)
