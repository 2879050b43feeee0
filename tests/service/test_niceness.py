import os
import sys
import threading

import pytest

from service.niceness import at_niceness


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
