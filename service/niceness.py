"""How much a thread leaves to others that want the processor.

BESIDE_TRAFFIC    that of threads nobody waits for while requests are answered
be_nice           sets that of the calling thread
at_niceness       does something in a thread of that niceness
"""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

# More than a slot's: whoever waits for a score need not wait for a version being loaded or compared.
BESIDE_TRAFFIC = 10

Answer = TypeVar("Answer")


def be_nice(niceness: int) -> None:
    """Give the calling thread, and those it starts, at least this niceness, where a thread has one.

    A process that was started with more of it keeps that: only root may lower it.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A sandbox may forbid even that, and then all threads compete alike.
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, max(niceness, os.getpriority(os.PRIO_PROCESS, thread)))


def at_niceness(niceness: int, do: Callable[[], Answer]) -> Answer:
    """Do something in a thread of this niceness, and return or raise what it does; at 0, in the calling thread.

    The calling thread keeps its own, since it could not go back.
    """
    if not niceness:
        return do()
    done: Future[Answer] = Future()

    def work(done: Future[Answer]) -> None:
        try:
            be_nice(niceness)
            done.set_result(do())
        except BaseException as error:
            done.set_exception(error)
        finally:
            # What is raised knows the frames it passed, which must not know it: all they hold would be in a cycle.
            del done

    # A daemon: the end of the process waits for nobody's compilation.
    threading.Thread(target=work, args=(done,), name="nice", daemon=True).start()
    try:
        return done.result()
    finally:
        del done
