import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.buckets import Buckets

limits = st.integers(1, 5_000)


def test_covers_a_model_with_powers_of_two_and_its_own_limits() -> None:
    assert Buckets.for_model(max_events=50, max_batch=100) == Buckets(times=(4, 8, 16, 32, 50), batches=(1, 8, 32, 100))


def test_lists_every_shape_once_with_the_most_expensive_first() -> None:
    buckets = Buckets(times=(4, 8), batches=(1, 32))

    assert buckets.shapes == ((32, 8), (1, 8), (32, 4), (1, 4))
    assert len(buckets) == 4


@given(max_events=limits, max_batch=limits)
def test_limits_are_the_largest_buckets_and_none_appears_twice(max_events: int, max_batch: int) -> None:
    buckets = Buckets.for_model(max_events, max_batch)

    assert (buckets.max_time, buckets.max_batch) == (max_events, max_batch)
    assert list(buckets.times) == sorted(set(buckets.times))
    assert list(buckets.batches) == sorted(set(buckets.batches))


@given(max_events=limits, max_batch=limits, data=st.data())
def test_finds_the_smallest_bucket_that_holds_a_batch(max_events: int, max_batch: int, data: st.DataObject) -> None:
    buckets = Buckets.for_model(max_events, max_batch)
    length = data.draw(st.integers(1, max_events))
    rows = data.draw(st.integers(1, max_batch))

    assert buckets.time_for(length) == min(time for time in buckets.times if time >= length)
    assert buckets.times[buckets.time_index(length)] == buckets.time_for(length)
    assert buckets.batch_for(rows) == min(batch for batch in buckets.batches if batch >= rows)


def test_refuses_what_fits_no_bucket() -> None:
    buckets = Buckets(times=(4, 8), batches=(1, 32))

    with pytest.raises(ValueError, match="at most 8 events"):
        buckets.time_for(9)
    with pytest.raises(ValueError, match="at most 32 sequences"):
        buckets.batch_for(33)
