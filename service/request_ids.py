"""What log and answer call a request: its client's own name for it, or a new one."""

import re
import secrets
from collections.abc import Iterable
from itertools import count

_HEADER = b"x-request-id"
_WELL_FORMED = re.compile(rb"[!-~]{1,128}")


class RequestIds:
    """Names requests."""

    def __init__(self) -> None:
        # Unguessable between processes, in order within one.
        self._prefix = secrets.token_hex(6).encode()
        self._numbers = count(1)

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The name of a request with these headers: 1 to 128 visible ASCII characters."""
        for name, value in headers:
            # White space behind a value is no part of it.
            if name == _HEADER and _WELL_FORMED.fullmatch(value := value.rstrip(b" \t")):
                return value
        return b"%s-%x" % (self._prefix, next(self._numbers))
