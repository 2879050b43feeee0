import asyncio
import statistics
import time
from itertools import pairwise
from time import monotonic

import pytest

from service.errors import DeadlineExceededError, OverloadedError
from service.intake import REQUEST_BYTES, SLICE_BYTES, Intake

LONG = 60.0


def _never() -> bool:
    return False


def test_turns_come_in_order_of_arrival() -> None:
    async def take_turns() -> list[int]:
        intake, order = Intake(10 * SLICE_BYTES, LONG, _never), list[int]()

        async def take(number: int) -> None:
            await intake.turn(SLICE_BYTES // 2 + number, monotonic() + LONG)
            order.append(number)

        await asyncio.gather(*map(take, range(8)))
        return order

    assert asyncio.run(take_turns()) == [*range(8)]


def test_no_round_of_the_event_loop_does_more_than_its_slice() -> None:
    async def work_by_round() -> list[int]:
        intake, rounds = Intake(100 * SLICE_BYTES, LONG, _never), [0]
        loop = asyncio.get_running_loop()

        def begin_round() -> None:
            rounds.append(0)
            if len(rounds) < 100:
                loop.call_soon(begin_round)

        async def take() -> None:
            await intake.turn(100, monotonic() + LONG)
            rounds[-1] += 100 + REQUEST_BYTES

        loop.call_soon(begin_round)
        await asyncio.gather(*(take() for _ in range(50)))
        return rounds

    rounds = asyncio.run(work_by_round())
    assert sum(rounds) == 50 * (100 + REQUEST_BYTES)
    # The turn that begins before the slice is used up ends after it.
    assert max(rounds) <= SLICE_BYTES + 100 + REQUEST_BYTES


def test_between_two_long_bodies_the_event_loop_has_a_round_for_whoever_else_came() -> None:
    async def begun_in_rounds() -> list[int]:
        intake, rounds, num_rounds = Intake(100 * SLICE_BYTES, LONG, _never), list[int](), 0
        loop = asyncio.get_running_loop()

        def begin_round() -> None:
            nonlocal num_rounds
            num_rounds += 1
            if num_rounds < 100:
                loop.call_soon(begin_round)

        async def take() -> None:
            await intake.turn(4 * SLICE_BYTES, monotonic() + LONG)
            rounds.append(num_rounds)

        loop.call_soon(begin_round)
        await asyncio.gather(*(take() for _ in range(5)))
        return rounds

    rounds = asyncio.run(begun_in_rounds())

    assert min(after - before for before, after in pairwise(rounds)) == 2


def test_a_body_beyond_what_may_wait_is_refused_and_one_after_the_wait_is_not() -> None:
    async def crowd() -> tuple[list[object], int]:
        intake = Intake(2 * SLICE_BYTES, LONG, _never)
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
        intake = Intake(10 * SLICE_BYTES, LONG, _never)
        deadlines = [monotonic() + LONG, monotonic() - 1, monotonic() + LONG]
        outcomes = await asyncio.gather(
            *(intake.turn(SLICE_BYTES, deadline) for deadline in deadlines), return_exceptions=True
        )
        return list(outcomes), intake.waiting_bytes

    outcomes, waiting_bytes = asyncio.run(crowd())

    assert (outcomes[0], outcomes[2]) == (None, None)
    assert isinstance(outcomes[1], DeadlineExceededError)
    assert waiting_bytes == 0


def test_who_has_left_the_line_counts_no_more_and_has_nobody_refused() -> None:
    async def leave() -> int:
        intake = Intake(10 * SLICE_BYTES, 0.01, is_model_busy=lambda: True)
        late = asyncio.ensure_future(intake.turn(SLICE_BYTES, monotonic() + 0.01))
        gone = asyncio.ensure_future(intake.turn(SLICE_BYTES, monotonic() + LONG))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(late, gone, return_exceptions=True)
        await asyncio.sleep(0.02)
        intake.refuse_if_full()
        return intake.waiting_bytes

    assert asyncio.run(leave()) == 0


def test_who_leaves_the_middle_of_the_line_makes_it_shorter_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("service.intake.monotonic", lambda: now[0])

    async def leave() -> int:
        intake: Intake
        # The model takes one body, half a second after it came.
        is_busy = lambda: now[0] < 0.5 or intake.waiting_bytes < 20 * SLICE_BYTES  # noqa: E731
        intake = Intake(100 * SLICE_BYTES, 1, is_busy)
        first, _, *middle = [asyncio.ensure_future(intake.turn(SLICE_BYTES, LONG)) for _ in range(20)]
        await asyncio.sleep(0)
        now[0] = 0.5
        await first
        now[0] = 1.2
        with pytest.raises(OverloadedError):
            intake.refuse_if_full()

        for one in middle:
            one.cancel()
        await asyncio.gather(*middle, return_exceptions=True)

        intake.refuse_if_full()
        return intake.waiting_bytes

    assert asyncio.run(leave()) == SLICE_BYTES


def test_who_has_left_the_line_is_no_part_of_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("service.intake.monotonic", lambda: now[0])

    async def leave() -> None:
        intake: Intake
        # The model takes two bodies, half a second after they came: a quarter of a second for each.
        is_busy = lambda: now[0] < 0.5 or intake.waiting_bytes <= 6 * SLICE_BYTES  # noqa: E731
        intake = Intake(100 * SLICE_BYTES, 1, is_busy)
        first, *rest = [asyncio.ensure_future(intake.turn(SLICE_BYTES, LONG)) for _ in range(20)]
        middle, second = rest[:12], rest[12]
        await asyncio.sleep(0)
        for one in middle:
            one.cancel()
        now[0] = 0.5
        await asyncio.gather(first, *middle, second, return_exceptions=True)

        now[0] = 1.2
        intake.refuse_if_full()

    with pytest.raises(OverloadedError):
        asyncio.run(leave())


def test_what_is_worked_on_elsewhere_counts_as_waiting() -> None:
    intake = Intake(1_000_000, LONG, _never)

    with intake.held(1_000_000), pytest.raises(OverloadedError) as refusal:
        intake.refuse_if_full()
    assert refusal.value.reason == "waiting_bytes"

    intake.refuse_if_full()


def test_a_burst_passes_and_lasting_overload_is_refused() -> None:
    async def crowd() -> list[object]:
        intake = Intake(100 * SLICE_BYTES, 0.05, _never)
        burst = [asyncio.ensure_future(intake.turn(SLICE_BYTES, monotonic() + LONG)) for _ in range(20)]
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251  the loop is at work
        late = asyncio.ensure_future(intake.turn(SLICE_BYTES, monotonic() + LONG))
        return [*await asyncio.gather(*burst, late, return_exceptions=True)]

    *burst, late = asyncio.run(crowd())

    assert burst == [None] * 20
    assert isinstance(late, OverloadedError)
    assert late.reason == "turn"


def test_under_lasting_overload_the_line_stays_as_long_as_it_may_take() -> None:
    """Far more comes than can be worked on, which is at most a slice in 2 ms."""

    async def overload() -> tuple[list[float], int]:
        waits, num_refused, busy_until = list[float](), 0, 0.0
        intake = Intake(10_000 * SLICE_BYTES, 0.1, lambda: monotonic() < busy_until)

        async def ask() -> None:
            nonlocal num_refused, busy_until
            since = monotonic()
            try:
                intake.refuse_if_full()
                await intake.turn(SLICE_BYTES, since + LONG)
            except OverloadedError:
                num_refused += 1
            else:
                waits.append(monotonic() - since)
                busy_until = monotonic() + 0.002

        begun_at, asked = monotonic(), list[asyncio.Task[None]]()
        while (elapsed := monotonic() - begun_at) < 1:
            while len(asked) < elapsed * 3_000:
                asked.append(asyncio.ensure_future(ask()))
            await asyncio.sleep(0.001)
        await asyncio.gather(*asked)
        return waits, num_refused

    waits, num_refused = asyncio.run(overload())

    assert num_refused > len(waits)
    # Whatever else the machine does, most wait about as long as the line may last: it neither grows nor runs dry.
    assert 0.05 < statistics.median(waits[len(waits) // 2 :]) < 0.4


def test_nothing_is_worked_on_while_enough_waits_for_the_model() -> None:
    async def crowd() -> tuple[list[int], list[int]]:
        is_busy, done = [True], list[int]()
        intake = Intake(10 * SLICE_BYTES, LONG, is_model_busy=lambda: is_busy[0])

        async def take(number: int) -> None:
            await intake.turn(100, monotonic() + LONG)
            done.append(number)

        turns = [asyncio.ensure_future(take(number)) for number in range(3)]
        await asyncio.sleep(0.02)
        before = done.copy()
        is_busy[0] = False
        await asyncio.gather(*turns)
        return before, done

    assert asyncio.run(crowd()) == ([], [0, 1, 2])


def test_bodies_that_are_still_arriving_are_bounded_together_and_forgotten_after() -> None:
    intake = Intake(100, LONG, _never)

    with intake.arriving() as first, intake.arriving() as second:
        first(60)
        second(40)
        with pytest.raises(OverloadedError):
            first(1)
    assert intake.waiting_bytes == 0


def test_every_turn_tells_how_long_it_was_waited_for() -> None:
    async def crowd() -> list[float]:
        waits = list[float]()
        intake = Intake(10 * SLICE_BYTES, LONG, _never, waits.append)
        turns = [asyncio.ensure_future(intake.turn(SLICE_BYTES, monotonic() + LONG)) for _ in range(3)]
        await asyncio.sleep(0)
        time.sleep(0.02)  # noqa: ASYNC251  the loop is at work
        await asyncio.gather(*turns)
        return waits

    at_once, *later = asyncio.run(crowd())

    assert at_once == 0
    assert len(later) == 2
    assert min(later) >= 0.02
