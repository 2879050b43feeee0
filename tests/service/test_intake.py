import asyncio
from time import monotonic

import pytest

from service.errors import DeadlineExceededError, OverloadedError
from service.intake import SLICE_BYTES, SMALLEST_BYTES, Intake

LONG = 60.0


def test_turns_come_in_order_of_arrival() -> None:
    async def take_turns() -> list[int]:
        intake, order = Intake(10 * SLICE_BYTES), list[int]()

        async def take(number: int) -> None:
            await intake.turn(SLICE_BYTES // 2 + number, monotonic() + LONG)
            order.append(number)

        await asyncio.gather(*map(take, range(8)))
        return order

    assert asyncio.run(take_turns()) == [*range(8)]


def test_no_round_of_the_event_loop_does_more_than_its_slice() -> None:
    async def work_by_round() -> list[int]:
        intake, rounds = Intake(100 * SLICE_BYTES), [0]
        loop = asyncio.get_running_loop()

        def begin_round() -> None:
            rounds.append(0)
            if len(rounds) < 100:
                loop.call_soon(begin_round)

        async def take() -> None:
            await intake.turn(100, monotonic() + LONG)
            rounds[-1] += SMALLEST_BYTES

        loop.call_soon(begin_round)
        await asyncio.gather(*(take() for _ in range(50)))
        return rounds

    rounds = asyncio.run(work_by_round())
    assert sum(rounds) == 50 * SMALLEST_BYTES
    # The turn that begins before the slice is used up ends after it.
    assert max(rounds) <= SLICE_BYTES + SMALLEST_BYTES


def test_a_body_beyond_what_may_wait_is_refused_and_one_after_the_wait_is_not() -> None:
    async def crowd() -> tuple[list[object], int]:
        intake = Intake(2 * SLICE_BYTES)
        outcomes = await asyncio.gather(
            *(intake.turn(SLICE_BYTES, monotonic() + LONG) for _ in range(5)), return_exceptions=True
        )
        await intake.turn(SLICE_BYTES, monotonic() + LONG)
        return list(outcomes), intake.waiting_bytes

    outcomes, waiting_bytes = asyncio.run(crowd())

    assert outcomes[:3] == [None, None, None]
    assert [type(outcome) for outcome in outcomes[3:]] == [OverloadedError, OverloadedError]
    assert waiting_bytes == 0


def test_a_turn_that_does_not_come_in_time_is_given_up_and_delays_nobody() -> None:
    async def crowd() -> tuple[list[object], int]:
        intake = Intake(10 * SLICE_BYTES)
        deadlines = [monotonic() + LONG, monotonic() - 1, monotonic() + LONG]
        outcomes = await asyncio.gather(
            *(intake.turn(SLICE_BYTES, deadline) for deadline in deadlines), return_exceptions=True
        )
        return list(outcomes), intake.waiting_bytes

    outcomes, waiting_bytes = asyncio.run(crowd())

    assert (outcomes[0], outcomes[2]) == (None, None)
    assert isinstance(outcomes[1], DeadlineExceededError)
    assert waiting_bytes == 0


def test_what_is_worked_on_elsewhere_counts_as_waiting() -> None:
    intake = Intake(1_000_000)

    with intake.held(1_000_000), pytest.raises(OverloadedError):
        intake.refuse_if_full()

    intake.refuse_if_full()
