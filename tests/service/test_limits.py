import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.key_errors import ConcurrencyLimitedError, RateLimitedError
from service.limits import ALLOWANCE, Allowance, charge


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _refused(allowance: Allowance) -> int:
    with pytest.raises(RateLimitedError) as refusal:
        allowance.enter()
    assert refusal.value.retry_after_seconds is not None
    return refusal.value.retry_after_seconds


def test_without_limits_anything_goes(clock: Clock) -> None:
    allowance = Allowance(None, None, clock)
    for _ in range(1_000):
        allowance.enter()
        allowance.take_more(1_000)


def test_a_seconds_worth_comes_at_once_and_then_at_the_rate(clock: Clock) -> None:
    allowance = Allowance(10, None, clock)
    for _ in range(10):
        allowance.enter()
    assert _refused(allowance) == 1

    clock.seconds += 0.1
    allowance.enter()
    assert _refused(allowance) == 1


def test_a_large_request_passes_whole_and_its_debt_is_waited_for(clock: Clock) -> None:
    allowance = Allowance(10, None, clock)
    allowance.enter()
    allowance.take_more(99)

    told = _refused(allowance)
    clock.seconds += told - 1
    _refused(allowance)
    clock.seconds += 1
    allowance.enter()
    assert told == 10


def test_of_large_requests_that_arrive_together_one_passes(clock: Clock) -> None:
    allowance = Allowance(10, None, clock)
    for _ in range(3):
        allowance.enter()
    allowance.take_more(99)

    for _ in range(2):
        with pytest.raises(RateLimitedError):
            allowance.take_more(99)


def test_a_rate_below_one_a_second_lets_one_in_at_first(clock: Clock) -> None:
    allowance = Allowance(0.25, None, clock)
    allowance.enter()

    assert _refused(allowance) == 4


@given(
    rate=st.floats(0.1, 1_000),
    requests=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 500)), max_size=100),
)
def test_over_time_no_more_than_the_rate_passes_but_for_one_request(
    rate: float, requests: list[tuple[float, int]]
) -> None:
    clock = Clock()
    allowance = Allowance(rate, None, clock)
    passed, largest = 0, 0
    for pause_seconds, num_sequences in requests:
        clock.seconds += pause_seconds
        try:
            allowance.enter()
        except RateLimitedError:
            continue
        allowance.take_more(num_sequences - 1)
        passed, largest = passed + num_sequences, max(largest, num_sequences)

    assert passed <= max(1, rate) + rate * clock.seconds + largest + 1e-6


def test_no_more_requests_at_a_time_than_the_limit(clock: Clock) -> None:
    allowance = Allowance(None, 2, clock)
    allowance.enter()
    allowance.enter()
    with pytest.raises(ConcurrencyLimitedError):
        allowance.enter()

    allowance.leave()
    allowance.enter()


def test_a_refusal_costs_nothing(clock: Clock) -> None:
    allowance = Allowance(2, 1, clock)
    allowance.enter()
    for _ in range(10):
        with pytest.raises(ConcurrencyLimitedError):
            allowance.enter()
    allowance.leave()

    allowance.enter()


def test_a_request_is_charged_to_the_key_it_came_with(clock: Clock) -> None:
    async def request(allowance: Allowance | None) -> None:
        if allowance is not None:
            allowance.enter()
        ALLOWANCE.set(allowance)
        charge(100)

    async def requests() -> None:
        await asyncio.gather(*(asyncio.create_task(request(one)) for one in (mine, None)))

    mine, others = Allowance(10, None, clock), Allowance(10, None, clock)
    asyncio.run(requests())

    assert _refused(mine) == 10
    others.enter()
