import asyncio
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from models.sequences import EncodedBatch
from service.buckets import Buckets
from service.call import BatchReport, Call, Request
from service.slots import SLOT_NICENESS, Settle, Slots
from service.waiting import WaitingLine

BUCKETS = Buckets(times=(4, 8), batches=(1, 32, 64))


def request(num_rows: int, length: int = 3) -> Request:
    """A request for sequences of one length, to be answered on the running event loop."""
    ids = np.ones((num_rows, length), np.int32)
    used, nothing = np.full(num_rows, length, np.int32), np.zeros(num_rows, np.int32)
    return Request.of(EncodedBatch(ids, np.zeros(ids.shape, np.float32), used, nothing, nothing), 0.0, None)


def report(call: Call) -> BatchReport:
    return BatchReport(call.num_rows, call.batch, call.time, call.num_events, 0.0, 0.0, failed=False)


class Office:
    """Slots whose calls wait while the gate of their bucket is shut, and requests that they answer."""

    def __init__(self, number: int) -> None:
        self.gates = {time: threading.Event() for time in BUCKETS.times}
        for gate in self.gates.values():
            gate.set()
        self.entered = threading.Semaphore(0)
        self.calls: list[Call] = []
        self.niceness: set[int] = set()
        self.settled_in: set[threading.Thread] = set()
        self._line, self._lock = WaitingLine(BUCKETS), threading.Lock()
        self.slots = Slots(number, line=self._line, lock=self._lock, make=self._make, settle=self._settle)

    def _make(self, call: Call, settle: Settle, begin: Callable[[], None]) -> None:
        if sys.platform == "linux":
            self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        begin()
        self.calls.append(call)
        self.entered.release()
        assert self.gates[call.time].wait(60)
        settle(list(call.pieces), report(call))

    def _settle(self, requests: list[Request], _: BatchReport) -> None:
        self.settled_in.add(threading.current_thread())
        for one in requests:
            if not one.answer.done():
                one.answer.set_result(True)

    def join(self, one: Request) -> Request:
        with self._lock:
            self._line.join(one, self._line.split(one.batch))
        return one

    async def has_entered(self, calls: int = 1) -> None:
        for _ in range(calls):
            assert await asyncio.to_thread(self.entered.acquire, timeout=60)


def test_as_many_slots_wake_as_share_those_who_wait() -> None:
    async def scenario() -> None:
        office = Office(3)
        office.gates[4].clear()
        office.join(request(40))
        office.slots.wake()
        await office.has_entered(2)
        # The third would get too few to be worth its waking.
        assert sum(call.num_rows for call in office.calls) == 40

        office.join(request(1))
        office.slots.wake()
        await office.has_entered()
        assert [call.num_rows for call in office.calls[2:]] == [1]

        office.gates[4].set()
        await office.slots.end()

    asyncio.run(scenario())


def test_slots_that_sleep_take_nothing_until_they_are_woken() -> None:
    async def scenario() -> None:
        office = Office(1)
        waiting = office.join(request(1))
        assert not await asyncio.to_thread(office.entered.acquire, timeout=0.05)

        office.slots.wake()
        assert await asyncio.wait_for(waiting.answer, 60)
        await office.slots.end()

    asyncio.run(scenario())


def test_answers_are_told_on_the_event_loop_while_the_slot_makes_its_next_call() -> None:
    async def scenario() -> None:
        office = Office(1)
        for gate in office.gates.values():
            gate.clear()
        first = office.join(request(1, 4))
        office.slots.wake()
        await office.has_entered()
        second = office.join(request(1, 8))
        office.gates[4].set()

        assert await asyncio.wait_for(first.answer, 60)
        is_second_answered = second.answer.done()
        office.gates[8].set()
        await office.slots.end()
        assert not is_second_answered
        assert await second.answer
        assert office.settled_in == {threading.current_thread()}

    asyncio.run(scenario())


def test_the_end_comes_after_those_who_wait_and_with_it_that_of_the_threads() -> None:
    async def scenario() -> None:
        before = set(threading.enumerate())
        office = Office(3)
        threads = set(threading.enumerate()) - before
        waiting = [office.join(request(50)) for _ in range(4)]

        await asyncio.gather(office.slots.end(), office.slots.end())

        assert all(one.answer.done() for one in waiting)
        assert len(threads) == 3
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    asyncio.run(scenario())


def test_after_the_end_its_owner_is_forgotten_and_waits_for_no_collector() -> None:
    async def scenario() -> weakref.ref[Office]:
        office = Office(2)
        await office.slots.end()
        for thread in office.slots._threads:
            await asyncio.to_thread(thread.join, 60)
        return weakref.ref(office)

    gc.disable()
    try:
        assert asyncio.run(scenario())() is None
    finally:
        gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
def test_a_slot_leaves_the_processor_to_the_event_loop() -> None:
    async def scenario() -> set[int]:
        office = Office(1)
        waiting = office.join(request(1))
        await office.slots.end()
        assert await waiting.answer
        return office.niceness

    (niceness,) = asyncio.run(scenario())
    assert niceness >= SLOT_NICENESS


def test_slots_that_could_start_end_where_others_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start"):
        Office(4)

    for thread in started:
        thread.join(60)
    assert [thread.is_alive() for thread in started] == [False, False]
