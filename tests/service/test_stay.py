import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import pytest
from starlette.types import Message

from service.errors import ClientGoneError, SlowBodyError
from service.stay import PATIENCE_SECONDS, Stay

LONG = 60.0


async def _silence() -> Message:
    await asyncio.sleep(LONG)
    raise AssertionError("nobody waits so long")


async def _departure() -> Message:
    return {"type": "http.disconnect"}


async def _stay(receive: Callable[[], Awaitable[Message]], seconds: float, *, has_body: bool, wait: float) -> str:
    with Stay(receive, monotonic() + seconds) as stay:
        if has_body:
            stay.body_has_come()
        await asyncio.sleep(wait)
    return "answered"


def test_a_stay_that_nothing_ends_is_finished() -> None:
    assert asyncio.run(_stay(_silence, LONG, has_body=True, wait=3 * PATIENCE_SECONDS)) == "answered"


def test_a_body_that_is_not_there_at_the_deadline_ends_it() -> None:
    with pytest.raises(SlowBodyError) as raised:
        asyncio.run(_stay(_silence, 2.5 * PATIENCE_SECONDS, has_body=False, wait=LONG))
    assert raised.value.closes_connection


def test_once_the_body_is_there_the_deadline_is_the_batchers() -> None:
    wait = 5 * PATIENCE_SECONDS
    assert asyncio.run(_stay(_silence, 2 * PATIENCE_SECONDS, has_body=True, wait=wait)) == "answered"


def test_a_client_that_goes_ends_it() -> None:
    with pytest.raises(ClientGoneError):
        asyncio.run(_stay(_departure, LONG, has_body=True, wait=LONG))


def test_a_quick_answer_is_given_without_a_look_at_the_connection() -> None:
    async def never() -> Message:
        raise AssertionError("looked")

    assert asyncio.run(_stay(never, LONG, has_body=True, wait=0)) == "answered"


def test_another_cancellation_passes_through() -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(_stay(_silence, LONG, has_body=True, wait=LONG))
        await asyncio.sleep(2 * PATIENCE_SECONDS)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


def test_the_task_goes_on_as_if_it_had_not_been_cancelled() -> None:
    async def goes_on() -> int:
        with pytest.raises(ClientGoneError):
            await _stay(_departure, LONG, has_body=True, wait=LONG)
        async with asyncio.timeout(LONG):
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(goes_on()) == 0


def test_a_stay_that_was_watched_leaves_nothing_to_the_collector() -> None:
    stays = list[weakref.ref[Stay]]()

    async def stay() -> None:
        with Stay(_silence, monotonic() + LONG) as stay:
            stays.append(weakref.ref(stay))
            stay.body_has_come()
            await asyncio.sleep(3 * PATIENCE_SECONDS)

    gc.disable()
    try:
        asyncio.run(stay())
        assert stays[0]() is None
    finally:
        gc.enable()


class _Body:
    """What a weak reference can be had of."""


@pytest.mark.parametrize(("receive", "seconds", "has_body"), [(_silence, 0.01, False), (_departure, LONG, True)])
def test_a_body_of_a_stay_that_was_ended_leaves_with_its_refusal(
    receive: Callable[[], Awaitable[Message]], seconds: float, has_body: bool
) -> None:
    bodies = list[weakref.ref[_Body]]()

    async def stay() -> None:
        body = _Body()
        bodies.append(weakref.ref(body))
        with Stay(receive, monotonic() + seconds) as stay:
            if has_body:
                stay.body_has_come()
            await asyncio.sleep(LONG)

    async def refuse() -> bool:
        with suppress(SlowBodyError, ClientGoneError):
            await stay()
        # Until it goes on, a task keeps what it was cancelled with.
        await asyncio.sleep(0.001)
        return bodies[0]() is None

    gc.disable()
    try:
        assert asyncio.run(refuse())
    finally:
        gc.enable()
