import gc
import os
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from service.niceness import at_niceness

ROOT = Path(__file__).parents[2]


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a niceness of its own on Linux alone")
def test_something_is_done_at_a_niceness_that_the_caller_does_not_take_on() -> None:
    here = niceness()

    assert at_niceness(15, niceness) == 15
    assert niceness() == here


def test_at_no_niceness_the_caller_does_it() -> None:
    assert at_niceness(0, threading.current_thread) is threading.current_thread()


def test_what_is_raised_reaches_the_caller() -> None:
    def fail() -> None:
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        at_niceness(15, fail)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may become somebody else, on Linux")
def test_a_process_that_was_started_nicer_than_it_would_be_stays_so_whoever_owns_it() -> None:
    program = (
        "import os, threading\n"
        "from service.niceness import at_niceness\n"
        "os.setuid(65534)\n"
        "print(at_niceness(5, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))"
    )
    nicer = ["nice", "-n", "7", sys.executable, "-c", program]

    ended = subprocess.run(nicer, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)

    assert int(ended.stdout) == min(niceness() + 7, 19)


class _Part:
    """Something that a load was making when it failed."""


def test_what_fails_in_another_thread_is_in_no_cycle() -> None:
    left: list[weakref.ref[_Part]] = []

    def fail() -> None:
        part = _Part()
        left.append(weakref.ref(part))
        raise MemoryError(part)

    gc.disable()
    try:
        with suppress(MemoryError):
            at_niceness(10, fail)
        # The thread's own frames go with the thread.
        until = monotonic() + 60
        while left[0]() is not None and monotonic() < until:
            sleep(0.001)
        assert left[0]() is None
    finally:
        gc.enable()
