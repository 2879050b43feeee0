"""Who is let in: a key for everything but probes and documentation, and of each key no more than its limits.

OpenPaths    what needs no key
Guard        what decides
Admission    what it gives to whoever it lets in
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter
from starlette.types import Scope

from service.key_errors import (
    ConcurrencyLimitedError,
    ForbiddenError,
    MissingKeyError,
    RateLimitedError,
    WrongKeyError,
)
from service.key_file import KeyFile
from service.keys import Key, KeyRing, Permission
from service.limits import ALLOWANCE, Allowance
from service.metrics import Metrics
from service.settings import Settings

LET_IN = "let_in"

# Everything else needs a key, whether it exists or not: nobody without one learns which paths there are.
_OPEN_PATHS = frozenset(
    {"/", "/livez", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"}
)
_IS_MODEL_READY = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/ready")
_METRICS_PATH = "/metrics"
_BEARER = b"bearer "


class OpenPaths:
    """Paths that may be read without a key.

    Args:
        settings: Which of them there are.
    """

    def __init__(self, settings: Settings) -> None:
        self._paths = {*_OPEN_PATHS, settings.vertex_health_route}
        if settings.open_metrics:
            self._paths.add(_METRICS_PATH)

    def __contains__(self, path: str) -> bool:
        return path in self._paths or _IS_MODEL_READY.fullmatch(path) is not None


class Admission(Protocol):
    """What somebody who was let in gives back on leaving."""

    def leave(self) -> None:
        """The request has been answered."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """Whoever has a key."""

    key: Key
    allowance: Allowance
    let_in: Counter


class Guard:
    """Lets requests in that come with a key of the file, and refuses the others.

    Args:
        key_file: Its keys hold now; whatever they become is for `take`.
        settings: Which paths need no key.
        metrics: Where requests are counted by key.
    """

    def __init__(self, key_file: KeyFile, settings: Settings, metrics: Metrics) -> None:
        self._key_file = key_file
        self._requests = metrics.key_requests
        self._open_paths = OpenPaths(settings)
        self._holders = dict[str, _Holder]()
        self._take(key_file.keys)

    async def follow(self) -> None:
        """Take up whatever becomes of the file, until cancelled."""
        await self._key_file.follow(self._take)

    def enter(self, scope: Scope) -> Admission | None:
        """Let a request of HTTP in.

        Returns:
            What to give back after the answer; None if it needs no key.

        Raises:
            ServiceError: As `admit`.
        """
        path: str = scope["path"]
        if scope["method"] in {"GET", "HEAD"} and path in self._open_paths:
            ALLOWANCE.set(None)
            return None
        return self.admit(scope["headers"], "metrics" if path == _METRICS_PATH else "score")

    def admit(self, headers: Iterable[tuple[bytes, bytes]], permission: Permission) -> Admission:
        """Let a request in whose key is right and has room.

        Args:
            headers: Names in lower case, and values.
            permission: What the request needs.

        Raises:
            MissingKeyError: There is no key.
            WrongKeyError: It is not in the file.
            ForbiddenError: It may do something else.
            ConcurrencyLimitedError: Enough of its requests are being answered.
            RateLimitedError: Its rate is reached.
        """
        presented = _presented(headers)
        if presented is None:
            raise MissingKeyError(
                "Expected a key, as `Authorization: Bearer …` or `X-API-Key: …`. Received: none. Ask whoever runs the "
                "service for one."
            )
        name = self._ring.find(presented)
        if name is None:
            raise WrongKeyError(
                "Expected a key that this service knows. Received: another one, or one that has been revoked. Ask "
                "whoever runs the service for a new one."
            )
        holder = self._holders[name]
        if permission not in holder.key.may:
            self._requests.labels(name, ForbiddenError.code).inc()
            raise ForbiddenError(
                f"Expected a key that may {permission!r}. Received: one that may not. Use another key, or ask whoever "
                "runs the service to let this one."
            )
        try:
            holder.allowance.enter()
        except (ConcurrencyLimitedError, RateLimitedError) as refusal:
            self._requests.labels(name, refusal.code).inc()
            raise
        holder.let_in.inc()
        ALLOWANCE.set(holder.allowance)
        return holder.allowance

    def _take(self, keys: Mapping[str, Key]) -> None:
        """Let these keys hold. Who stays keeps what is left of an unchanged allowance."""
        former = self._holders
        self._ring = KeyRing(keys)
        self._holders = {
            name: _Holder(key, _allowance(key, former.get(name)), self._requests.labels(name, LET_IN))
            for name, key in keys.items()
        }


def _allowance(key: Key, former: _Holder | None) -> Allowance:
    limits = (key.sequences_per_second, key.max_concurrent_requests)
    if former is not None and limits == (former.key.sequences_per_second, former.key.max_concurrent_requests):
        return former.allowance
    return Allowance(*limits)


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key a client presents; `X-API-Key` first, because `Authorization` may be meant for somebody on the way."""
    presented: bytes | None = None
    for name, value in headers:
        if name == b"x-api-key":
            return value.strip()
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            presented = value[len(_BEARER) :].strip()
    return presented
