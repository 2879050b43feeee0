import numpy as np

from models.sequences import Vocabulary
from training.batches import encode_buckets, shuffled_batches
from training.eventlog import EventLog
from training.prefixes import cut_prefixes

VOCABULARY = Vocabulary(["login", "pay", "browse", "refund"])


def test_every_prefix_is_in_exactly_one_bucket_of_its_length(log: EventLog) -> None:
    prefixes = cut_prefixes(log)

    buckets = encode_buckets(prefixes, VOCABULARY, max_events=4)

    assert sorted(np.concatenate([indices for indices, _ in buckets]).tolist()) == list(range(len(prefixes)))
    assert [encoded.event_ids.shape[1] for _, encoded in buckets] == [1, 2, 4]
    for indices, encoded in buckets:
        assert encoded.events_used.tolist() == np.minimum(prefixes.lengths[indices], 4).tolist()
        assert encoded.events_used.min() > encoded.event_ids.shape[1] / 2


def drawn(log: EventLog, seed: int, passes: int = 1) -> list[list[float]]:
    """Elapsed minutes of every row of every batch, in order."""
    dataset = shuffled_batches(cut_prefixes(log), VOCABULARY, 10, batch_size=32, seed=seed)
    return [
        sorted(row.tolist())
        for _ in range(passes)
        for inputs, _ in dataset.as_numpy_iterator()
        for row in inputs["elapsed_minutes"]
    ]


def test_a_pass_holds_every_prefix_once_with_its_label(log: EventLog) -> None:
    prefixes = cut_prefixes(log)

    batches = list(shuffled_batches(prefixes, VOCABULARY, 10, batch_size=32, seed=1).as_numpy_iterator())

    assert sum(len(labels["risk"]) for _, labels in batches) == len(prefixes)
    assert sum(labels["risk"].sum() for _, labels in batches) == prefixes.labels.sum()
    assert max(len(labels["risk"]) for _, labels in batches) <= 32
    assert all((labels["risk"] == labels["auxiliary_risk"]).all() for _, labels in batches)


def test_the_seed_decides_the_order(log: EventLog) -> None:
    assert drawn(log, seed=1) == drawn(log, seed=1)
    assert drawn(log, seed=1) != drawn(log, seed=2)


def test_every_pass_is_shuffled_anew(log: EventLog) -> None:
    both = drawn(log, seed=1, passes=2)
    half = len(both) // 2

    assert both[:half] != both[half:]
    assert sorted(both[:half]) == sorted(both[half:])
