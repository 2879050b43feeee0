"""Who is asked by a path of TensorFlow Serving's protocol.

CaselessRoute    a route whose words may come in any case
Target           a model, and of it a version, a label or whoever answers
TARGETS          paths, and what makes a target of each
find             the version that is meant
refuse_path      what is said of a path that is none of these
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from service.errors import Fault, MalformedPathError, UnknownModelError
from service.lineup import LineUp
from service.live_model import LiveModel
from service.version_statuses import MAX_SHOWN_CHARACTERS

_MODEL = "/v1/models/{name}"
# Words and names in turn.
_PATH = re.compile(r"(/v1/models/)([^/:]+)(?:(/versions/|/labels/)([^/:]+))?(/metadata|:[a-z]+)?", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1

_CHAMPION_LABELS = frozenset({"champion", "stable"})
_CHALLENGER_LABELS = frozenset({"challenger", "canary"})
_OTHER_METHODS = {"classify": "classification", "regress": "regression"}


class CaselessRoute(APIRoute):
    """A route that takes the words of its path, but not the names in it, in any case."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the route is meant."""
        path: str = scope["path"]
        if not path.islower() and (found := _PATH.fullmatch(path)):
            words = (part if place % 2 else part.lower() for place, part in enumerate(found.groups(default="")))
            scope = {**scope, "path": "".join(words)}
        return super().matches(scope)


@dataclass(frozen=True, slots=True)
class Target:
    """A model, and of it a version by its number, a version by its label, or whoever answers."""

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        name = self.name[:MAX_SHOWN_CHARACTERS]
        return f"Latest({name})" if self.version is None else f"Specific({name}, {self.version})"


async def _latest(request: Request, name: str) -> Target:
    _check_names(request, name)
    return Target(name)


async def _of_version(request: Request, name: str, version: str) -> Target:
    _check_names(request, name)
    if not (version.isdecimal() and version.isascii()):
        raise _malformed(request)
    if len(version) > len(str(_MAX_VERSION)) or int(version) > _MAX_VERSION:
        raise MalformedPathError(f"Failed to convert version: {version[:MAX_SHOWN_CHARACTERS]} to numeric.")
    return Target(name, version=int(version))


async def _of_label(request: Request, name: str, label: str) -> Target:
    _check_names(request, name, label)
    return Target(name, label=label)


Read = Callable[..., Awaitable[Target]]

TARGETS: tuple[tuple[str, Read], ...] = (
    (_MODEL, _latest),
    (f"{_MODEL}/versions/{{version}}", _of_version),
    (f"{_MODEL}/labels/{{label}}", _of_label),
)
OTHER_PATHS = (f"{_MODEL}:{{rest:path}}", f"{_MODEL}/{{rest:path}}")


def find(lineup: LineUp, target: Target) -> LiveModel:
    """The loaded version that is meant.

    Raises:
        MalformedPathError: There is no such label.
        UnknownModelError: Something else is loaded.
        NotReadyError: Nothing is yet.
    """
    if lineup.name is None or target.name == lineup.name:
        lineup.champion()
        for model, labels in zip(lineup.loaded(), (_CHAMPION_LABELS, _CHALLENGER_LABELS), strict=False):
            if target.label in labels or (target.label is None and target.version in {None, model.manifest.version}):
                return model
    if target.label is not None:
        message = f"Unrecognized servable version label: {target.label[:MAX_SHOWN_CHARACTERS]}"
        raise MalformedPathError(message, expected(lineup))
    raise UnknownModelError(f"Servable not found for request: {target}", expected(lineup))


def expected(lineup: LineUp) -> tuple[Fault, ...]:
    """What could have been asked for."""
    loaded = " or ".join(f"{model.manifest.name!r} version {model.manifest.version}" for model in lineup.loaded())
    return (Fault("", f"Expected {loaded or f'{lineup.name!r}, once it is loaded'}."),)


async def refuse_path(request: Request) -> Response:
    """Refuse a path that is none of the protocol's, or asks for what no artifact does.

    Raises:
        MalformedPathError: Always.
    """
    method = request.url.path.rpartition(":")[2].lower()
    if request.method == "POST" and method in _OTHER_METHODS:
        raise MalformedPathError(
            f"Expected {_OTHER_METHODS[method]} signature method_name to be tensorflow/serving/{method}. "
            "Was: tensorflow/serving/predict",
            (Fault("", "Expected `:predict`; it is all that this model answers."),),
        )
    raise _malformed(request)


def _check_names(request: Request, *names: str) -> None:
    """A colon separates a name from a method, so it is in none."""
    if any(":" in name for name in names):
        raise _malformed(request)


def _malformed(request: Request) -> MalformedPathError:
    return MalformedPathError(
        f"Malformed request: {request.method} {request.url.path[:MAX_SHOWN_CHARACTERS]}",
        (Fault("", "Expected a path of TensorFlow Serving's REST protocol, as listed at /docs."),),
    )
