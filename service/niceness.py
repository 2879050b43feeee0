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
from typing import TypeVar

# More than a slot's: whoever waits for a score need not wait for a version being loaded or compared.
BESIDE_TRAFFIC = 10

Answer = TypeVar("Answer")


def be_nice(niceness: int) -> None:
    """Give the calling thread, and those it starts, a niceness, where a thread has one; nobody may lower their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


def at_niceness(niceness: int, do: Callable[[], Answer]) -> Answer:
    """Do something in a thread of this niceness, and return or raise what it does; at 0, in the calling thread.

    The calling thread keeps its own, since it could not go back.
    """
    if not niceness:
        return do()
    done: Future[Answer] = Future()

    def work() -> None:
        be_nice(niceness)
        try:
            done.set_result(do())
        except BaseException as error:
            done.set_exception(error)

    # A daemon: the end of the process waits for nobody's compilation.
    threading.Thread(target=work, name="nice", daemon=True).start()
    return done.result()
