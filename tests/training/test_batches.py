import numpy as np
import pytest
from numpy.typing import NDArray

from models.sequences import Vocabulary
from training.batches import LONGEST_RUN, Batch, Batches, encode_buckets
from training.eventlog import EventLog
from training.prefixes import cut_prefixes

VOCABULARY = Vocabulary(["login", "pay", "browse", "refund"])
BATCH_SIZE = 32


def test_every_prefix_is_in_exactly_one_bucket_of_its_length(log: EventLog) -> None:
    prefixes = cut_prefixes(log)

    buckets = encode_buckets(prefixes, VOCABULARY, max_events=5)

    assert sorted(np.concatenate([indices for indices, _ in buckets]).tolist()) == list(range(len(prefixes)))
    assert [encoded.event_ids.shape[1] for _, encoded in buckets] == [4, 5]
    for indices, encoded in buckets:
        assert encoded.events_used.tolist() == np.minimum(prefixes.lengths[indices], 5).tolist()
    assert buckets[1][1].events_used.min() > 4


@pytest.fixture(scope="module")
def batches(log: EventLog) -> Batches:
    """Every row is asked about twice, but for its first event alone."""
    buckets = []
    for _, encoded in encode_buckets(cut_prefixes(log), VOCABULARY, 10):
        labels = np.full((*encoded.event_ids.shape, 1), np.nan, np.float32)
        labels[:, 0] = 1.0
        longer = np.flatnonzero(encoded.events_used > 1)
        labels[longer, encoded.events_used[longer] - 1] = 0.0
        # Known of some rows that are asked about, and not of others.
        next_events = np.where(encoded.event_ids > 2, encoded.event_ids, 0)[..., None]
        buckets.append((encoded, {"label": labels, "next_event": next_events}))
    return Batches(buckets, BATCH_SIZE, seed=3)


def epoch_of(batches: Batches, epoch: int = 0, first: int = 0) -> list[Batch]:
    return [batch for run in batches.epoch(epoch, first) for batch in run]


def asked_rows(batches: Batches, epoch: int, first: int = 0) -> list[list[float]]:
    """Elapsed minutes of every row that is asked about, in order."""
    rows = []
    for batch in epoch_of(batches, epoch, first):
        is_asked = (~np.isnan(batch.targets["label"])).any(axis=(1, 2))
        rows += batch.tensors["elapsed_minutes"][is_asked].tolist()
    return rows


def test_an_epoch_asks_every_label_once(batches: Batches) -> None:
    labels: NDArray[np.float32] = np.concatenate([batch.targets["label"].ravel() for batch in epoch_of(batches)])

    assert np.count_nonzero(~np.isnan(labels)) == batches.num_asked
    assert sum(batch.num_known["label"] for batch in epoch_of(batches)) == batches.num_asked
    assert batches.mean_known["label"] == pytest.approx(BATCH_SIZE, rel=0.1)


def test_what_else_is_known_goes_with_its_rows_and_is_counted_by_itself(batches: Batches) -> None:
    known = []
    for batch in epoch_of(batches):
        targets, ids = batch.targets["next_event"][..., 0], batch.tensors["event_ids"]
        assert set(targets[targets > 0].tolist()) <= {3, 4, 5}
        assert np.array_equal(targets[targets > 0], ids[targets > 0])
        known.append(batch.num_known["next_event"])

    assert sum(known) == batches.num_known["next_event"] != batches.num_asked
    assert batches.mean_known["next_event"] == pytest.approx(np.mean(known))


def test_batches_have_few_shapes_however_the_rows_divide(batches: Batches) -> None:
    shapes = [batch.shape for batch in epoch_of(batches)]

    assert len(set(shapes)) == 2
    assert {shape: shapes.count(shape) for shape in shapes} == batches.shapes
    assert len(shapes) == batches.num_batches


def test_no_row_is_padding_alone(batches: Batches) -> None:
    for batch in epoch_of(batches):
        assert (batch.tensors["event_ids"][:, 0] > 0).all()


def test_seed_and_epoch_decide_the_order(batches: Batches) -> None:
    assert asked_rows(batches, 0) == asked_rows(batches, 0)
    assert asked_rows(batches, 0) != asked_rows(batches, 1)
    assert sorted(map(sorted, asked_rows(batches, 0))) == sorted(map(sorted, asked_rows(batches, 1)))


def test_batches_come_in_runs_of_one_shape_in_random_order(batches: Batches) -> None:
    runs = list(batches.epoch(0))

    assert all(1 <= len(run) <= LONGEST_RUN for run in runs)
    assert all(len({batch.shape for batch in run}) == 1 for run in runs)
    orders = [tuple(run[0].shape for run in batches.epoch(epoch)) for epoch in range(20)]
    assert len(set(orders)) > 1


def test_an_epoch_can_be_gone_on_with_after_any_run(batches: Batches) -> None:
    first_run, *_ = batches.epoch(4)
    of_first_run = sum(int(np.count_nonzero((~np.isnan(batch.targets["label"])).any((1, 2)))) for batch in first_run)

    assert asked_rows(batches, 4, first=len(first_run)) == asked_rows(batches, 4)[of_first_run:]
