from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import Manifest, Quantiles
from service.buckets import Buckets

MANIFEST = Manifest.model_validate_json(
    (Path(__file__).parents[2] / "models/artifacts/sla-breach/1/manifest.json").read_bytes()
)

limits = st.integers(1, 5_000)
histories = st.lists(st.integers(1, 5_000), min_size=4, max_size=4).map(sorted)


def model(max_events: int, lengths: list[int]) -> Manifest:
    """One whose histories have `lengths` at four levels, none longer than the model takes."""
    quantiles = Quantiles(levels=(0.1, 0.5, 0.9, 0.99), values=tuple(float(min(n, max_events)) for n in lengths))
    reference = MANIFEST.reference.model_copy(update={"length_quantiles": quantiles})
    return MANIFEST.model_copy(update={"max_events": max_events, "reference": reference})


def test_covers_a_model_near_the_lengths_of_its_histories() -> None:
    buckets = Buckets.for_model(model(50, [1, 3, 8, 17]), max_batch=100)

    assert buckets == Buckets(times=(4, 8, 24, 50), batches=(1, 8, 32, 100, 400), max_cells=5_000)


def test_short_histories_go_in_larger_batches() -> None:
    buckets = Buckets.for_model(model(50, [1, 3, 8, 17]), max_batch=100)

    assert [buckets.batches_of(time)[-1] for time in buckets.times] == [400, 400, 100, 100]
    assert len(buckets) == len(set(buckets.shapes)) == 18
    assert buckets.batch_for(101, 8) == 400
    with pytest.raises(ValueError, match="at most 100 sequences"):
        buckets.batch_for(101, 24)


def test_lengths_close_together_share_a_bucket() -> None:
    assert Buckets.for_model(model(200, [90, 100, 110, 150]), max_batch=1).times == (128, 200)


def test_versions_whose_histories_differ_a_little_have_the_same_buckets() -> None:
    assert Buckets.for_model(model(50, [2, 4, 7, 20]), 128) == Buckets.for_model(model(50, [1, 3, 8, 17]), 128)


def test_lists_every_shape_once_with_the_most_expensive_first() -> None:
    buckets = Buckets(times=(4, 8), batches=(1, 32))

    assert buckets.shapes == ((32, 8), (1, 8), (32, 4), (1, 4))
    assert len(buckets) == 4


@given(max_events=limits, max_batch=limits, lengths=histories)
def test_limits_are_the_largest_buckets_and_none_appears_twice(
    max_events: int, max_batch: int, lengths: list[int]
) -> None:
    buckets = Buckets.for_model(model(max_events, lengths), max_batch)

    assert (buckets.max_time, buckets.max_batch) == (max_events, max_batch)
    assert list(buckets.times) == sorted(set(buckets.times))
    assert list(buckets.batches) == sorted(set(buckets.batches))


@given(max_events=limits, max_batch=limits, lengths=histories, data=st.data())
def test_finds_the_smallest_bucket_that_holds_a_batch(
    max_events: int, max_batch: int, lengths: list[int], data: st.DataObject
) -> None:
    buckets = Buckets.for_model(model(max_events, lengths), max_batch)
    length = data.draw(st.integers(1, max_events))
    rows = data.draw(st.integers(1, max_batch))

    assert buckets.time_for(length) == min(time for time in buckets.times if time >= length)
    assert buckets.times[buckets.time_index(length)] == buckets.time_for(length)
    for time in buckets.times:
        assert buckets.batch_for(rows, time) == min(batch for batch in buckets.batches if batch >= rows)


def test_refuses_what_fits_no_bucket() -> None:
    buckets = Buckets(times=(4, 8), batches=(1, 32))

    with pytest.raises(ValueError, match="at most 8 events"):
        buckets.time_for(9)
    with pytest.raises(ValueError, match="at most 32 sequences"):
        buckets.batch_for(33, 8)
