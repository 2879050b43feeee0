"""The C library's arenas: how many pools of memory the threads of this process share."""

import ctypes
import logging
from contextlib import suppress

# From malloc.h; a negative number, so that no other option of glibc's can be meant.
_M_ARENA_MAX = -8
_MOST_ARENAS = 2

logger = logging.getLogger(__name__)


def share_arenas() -> None:
    """Have all threads share two arenas, from before the first of them on.

    Each arena keeps what its threads once needed for a call of the model, and every version brings threads of its own:
    with glibc's default of eight arenas a core, fifty versions later the process is a fifth larger. Another C library
    than glibc keeps its ways.
    """
    with suppress(AttributeError, OSError, TypeError):
        if not ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _MOST_ARENAS):
            logger.debug("The C library takes no limit on its arenas.")
