"""Slots: threads that make calls of the model side by side."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from time import monotonic
from typing import Literal, TypeAlias

from service.call import BatchReport, Call, Request
from service.niceness import be_nice
from service.waiting import FEWEST_ROWS_TO_SHARE, WaitingLine

SLOT_NICENESS = 5

Settle: TypeAlias = Callable[[list[Request], BatchReport], object]
Make: TypeAlias = Callable[[Call, Settle, Callable[[], None]], None]

_Settled = tuple[asyncio.AbstractEventLoop, list[Request], BatchReport]


class Slots:
    """Threads that make one call at a time each, until nobody waits.

    A slot takes the next call from the line itself, so that a busy event loop never keeps the model waiting, and hands
    the answers to the event loop of those who wait for them.

    Args:
        number: How many.
        line: Where they take calls from.
        lock: Held by whoever uses the line; here it guards the counts of slots, too.
        make: Makes a call: tells the first function given who is answered, having called the second when the model is
            about to run.
        settle: Told, on the event loop, who is answered.

    Raises:
        RuntimeError: The system has no more threads.
    """

    def __init__(self, number: int, *, line: WaitingLine, lock: threading.Lock, make: Make, settle: Settle) -> None:
        self._line = line
        self._lock = lock
        self._num_free = number
        self._num_asleep = number
        # None wakes a slot; a future ends it, and so does False, which nobody waits for.
        self._wake_ups: SimpleQueue[asyncio.Future[None] | Literal[False] | None] = SimpleQueue()
        self._endings: list[asyncio.Future[None]] = []
        # Only the threads know whose calls they make, and forget it when they end: who has slots is in no cycle.
        self._threads = [
            threading.Thread(target=self._work, args=(make, settle), name=f"slot-{slot}", daemon=True)
            for slot in range(number)
        ]
        for num_started, thread in enumerate(self._threads):
            try:
                thread.start()
            except RuntimeError:
                # The system has no more threads; those that have started would wait for ever, and keep the model.
                for _ in range(num_started):
                    self._wake_ups.put(False)
                raise

    def wake(self) -> None:
        """Wake as many sleeping slots as are worth it for those who wait."""
        with self._lock:
            num_awake = self._num_free - self._num_asleep
            num_worthwhile = -(-self._line.num_waiting // FEWEST_ROWS_TO_SHARE)
            num_to_wake = max(0, min(num_worthwhile - num_awake, self._num_asleep))
            self._num_asleep -= num_to_wake
        for _ in range(num_to_wake):
            self._wake_ups.put(None)

    async def end(self) -> None:
        """Empty the line, which nobody joins any more, then end the threads."""
        if not self._endings:
            self.wake()
            self._endings = [asyncio.get_running_loop().create_future() for _ in self._threads]
            for ending in self._endings:
                # Behind every wake-up: whoever is awake empties the line first.
                self._wake_ups.put(ending)
        await asyncio.wait(self._endings)

    def _work(self, make: Make, settle: Settle) -> None:
        """A slot's life, in its thread."""
        # Whoever waits for a refusal need not wait for the model.
        be_nice(SLOT_NICENESS)
        untold: list[_Settled] = []
        tell = partial(_tell, untold, settle)
        while (ending := self._wake_ups.get()) is None:
            while (call := self._take()) is not None:
                loop = next(iter(call.pieces)).answer.get_loop()
                make(call, lambda *settled, loop=loop: untold.append((loop, *settled)), tell)
                with self._lock:
                    self._num_free += 1
            tell()
        if ending:
            ending.get_loop().call_soon_threadsafe(ending.set_result, None)

    def _take(self) -> Call | None:
        with self._lock:
            call = self._line.take(self._num_free, monotonic())
            if call is None:
                self._num_asleep += 1
            else:
                self._num_free -= 1
            return call


def _tell(untold: list[_Settled], settle: Settle) -> None:
    """Tell event loops what a slot has settled.

    Told, a loop takes the interpreter and reads a body, for which a slot that is about to make its next call would have
    to wait. So it tells them when that is about to run, and needs the interpreter no more.
    """
    for loop, requests, report in untold:
        loop.call_soon_threadsafe(settle, requests, report)
    untold.clear()
