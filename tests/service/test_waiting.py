import asyncio
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.sequences import EncodedBatch, Vocabulary, encode
from service.buckets import Buckets
from service.call import Call, Request
from service.waiting import WaitingLine

BUCKETS = Buckets(times=(4, 8, 32), batches=(1, 8, 32, 128))
VOCABULARY = Vocabulary(["pay"])


def come(line: WaitingLine, *lengths: int, deadline: float | None = None) -> Request:
    async def request(batch: EncodedBatch) -> Request:
        return Request.of(batch, now=0.0, deadline=deadline)

    histories = [["pay"] * length for length in lengths]
    batch = encode(histories, [[0.0] * length for length in lengths], VOCABULARY, 32)
    arrived = asyncio.run(request(batch))
    line.join(arrived, line.split(batch))
    return arrived


def leave_all(line: WaitingLine, num_free_slots: int = 1) -> list[Call]:
    calls = []
    while (call := line.take(num_free_slots, now=0.0)) is not None:
        calls.append(call)
    return calls


def shapes(calls: list[Call]) -> list[tuple[int, int, int]]:
    return [(call.num_rows, call.batch, call.time) for call in calls]


def test_an_empty_line_has_no_call() -> None:
    assert WaitingLine(BUCKETS).take(1, now=0.0) is None


def test_one_short_sequence_leaves_in_the_smallest_shape() -> None:
    line = WaitingLine(BUCKETS)
    come(line, 3)

    assert shapes(leave_all(line)) == [(1, 1, 4)]


def test_sequences_of_a_request_are_padded_by_their_own_lengths_the_longest_first() -> None:
    line = WaitingLine(BUCKETS)
    come(line, *[30] * 8, *[2] * 20, *[7] * 8)

    assert shapes(leave_all(line)) == [(8, 8, 32), (8, 8, 8), (20, 32, 4)]


def test_shorter_sequences_fill_what_would_be_padding() -> None:
    line = WaitingLine(BUCKETS)
    come(line, *[30] * 5)
    come(line, *[3] * 4)

    assert shapes(leave_all(line)) == [(8, 8, 32), (1, 1, 4)]


def test_longer_sequences_never_make_a_short_one_long() -> None:
    line = WaitingLine(BUCKETS)
    come(line, 3)
    come(line, *[30] * 5)

    assert shapes(leave_all(line)) == [(1, 1, 4), (5, 8, 32)]


def test_who_came_first_leaves_first() -> None:
    line = WaitingLine(BUCKETS)
    first, second, third = come(line, *[7] * 8), come(line, *[3] * 8), come(line, *[30] * 8)

    assert [list(call.pieces) for call in leave_all(line)] == [[first], [second], [third]]


def test_a_batch_less_than_half_full_is_run_smaller() -> None:
    line = WaitingLine(BUCKETS)
    come(line, *[3] * 40)

    assert shapes(leave_all(line)) == [(32, 32, 4), (8, 8, 4)]


def test_a_batch_at_least_half_full_is_run_at_once() -> None:
    line = WaitingLine(BUCKETS)
    come(line, *[3] * 64)

    assert shapes(leave_all(line)) == [(64, 128, 4)]


def test_free_slots_share_a_large_request() -> None:
    line = WaitingLine(BUCKETS)
    come(line, *[3] * 64)

    shared = [line.take(2, now=0.0), line.take(1, now=0.0)]

    assert shapes([call for call in shared if call is not None]) == [(32, 32, 4), (32, 32, 4)]


def test_a_small_request_leaves_before_the_rest_of_a_huge_one() -> None:
    line = WaitingLine(BUCKETS)
    huge = come(line, *[3] * 1_000)
    assert line.take(1, now=0.0) is not None
    small = come(line, 3)

    calls = leave_all(line)

    assert [small in call.pieces for call in calls].index(True) <= 1
    assert sum(huge in call.pieces for call in calls) == math.ceil((1_000 - 128) / 128)


def test_huge_requests_take_turns() -> None:
    line = WaitingLine(BUCKETS)
    first, second = come(line, *[3] * 512), come(line, *[3] * 512)

    owners = [list(call.pieces) for call in leave_all(line)]

    assert owners == [[first], [second]] * 4


def test_a_request_split_by_chance_keeps_its_place() -> None:
    line = WaitingLine(BUCKETS)
    come(line, *[3] * 100)
    split = come(line, *[3] * 60)
    come(line, *[3] * 100)

    calls = leave_all(line)

    assert [split in call.pieces for call in calls] == [True, True, *[False] * (len(calls) - 2)]


def test_who_is_over_leaves_without_a_call() -> None:
    line = WaitingLine(BUCKETS)
    come(line, *[3] * 5, *[30] * 5, deadline=0.0)
    come(line, 3, 30).answer.cancel()
    alive = come(line, 3)

    calls = leave_all(line)

    assert [list(call.pieces) for call in calls] == [[alive]]
    assert line.num_waiting == 0


@given(
    lengths=st.lists(st.lists(st.integers(1, 32), min_size=1, max_size=200), max_size=12),
    leaving=st.sets(st.integers(0, 11)),
    num_slots=st.integers(1, 4),
)
def test_every_row_leaves_exactly_once_in_a_shape_that_holds_it(
    lengths: list[list[int]], leaving: set[int], num_slots: int
) -> None:
    line = WaitingLine(BUCKETS)
    requests = [come(line, *each) for each in lengths]
    gone = {request for number, request in enumerate(requests) if number in leaving}
    for request in gone:
        line.leave(request)
    staying = [request for request in requests if request not in gone]
    assert line.num_waiting == sum(request.num_unscored for request in staying)

    calls = leave_all(line, num_slots)

    assert line.num_waiting == 0
    for call in calls:
        assert (call.batch, call.time) in BUCKETS.shapes
        assert call.num_rows == sum(map(len, call.pieces.values())) <= call.batch
        assert all(request.batch.events_used[rows].max() <= call.time for request, rows in call.pieces.items())
    for request in staying:
        left = np.concatenate([call.pieces[request] for call in calls if request in call.pieces])
        assert sorted(left.tolist()) == list(range(request.num_unscored))
    assert not any(request in call.pieces for call in calls for request in gone)
