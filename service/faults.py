"""What is wrong with a request, fault by fault, in words and places its sender can act on.

Faults               the faults of one request: the first are kept, the rest counted
structural_faults    pydantic's findings, translated
received             a value as a message shows it
unknown_field        place and message of a field that is not ours
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches

from pydantic_core import ErrorDetails, to_json

from service.errors import Fault, InvalidRequestError
from service.schemas import MAX_TEXT_LENGTH

MAX_DETAILS = 20

_MAX_SHOWN_CHARACTERS = 60
_EVENT_TYPE_BRANCHES = frozenset({"constrained-str", "int"})

# A sentence an error type of pydantic; `{…}` is filled from the error's context.
_EXPECTED = {
    "bool_type": "Expected true or false",
    "dict_type": "Expected an object",
    "finite_number": "Expected a finite number",
    "float_type": "Expected a number",
    "greater_than_equal": "Expected minutes that are not negative: an event lies before the scoring moment, or at it",
    "json_invalid": "Expected JSON in UTF-8",
    "less_than_equal": "Expected at most {le:.0f} minutes (are these seconds or milliseconds?)",
    "list_type": "Expected an array",
    "string_too_long": "Expected at most {max_length} characters",
    "string_type": "Expected a string",
    "too_long": "Expected at most {max_length} elements",
    "too_short": "Expected at least {min_length} element",
}
_EXPECTED_EVENT_TYPE = "Expected an event type, which is a string or an integer"


class Faults:
    """The faults of one request: the first `MAX_DETAILS` are kept, the rest counted."""

    def __init__(self) -> None:
        self._kept: list[Fault] = []
        self._num_faults = 0

    @property
    def is_full(self) -> bool:
        """Whether further faults are only counted."""
        return len(self._kept) == MAX_DETAILS

    def add(self, fault: Fault) -> None:
        """Count `fault`, and keep it while there is room."""
        self._num_faults += 1
        if not self.is_full:
            self._kept.append(fault)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Add each of `faults`."""
        for fault in faults:
            self.add(fault)

    def leave_out(self, num_faults: int) -> None:
        """Count faults that nobody looks for any more."""
        self._num_faults += num_faults

    def raise_if_any(
        self, refusal: Callable[[str, tuple[Fault, ...]], InvalidRequestError] = InvalidRequestError
    ) -> None:
        """Refuse the request if anything is wrong with it.

        Args:
            refusal: Makes the error from its message and the kept faults.

        Raises:
            InvalidRequestError: With every kept fault.
        """
        if not self._num_faults:
            return
        message = self._kept[0].message
        if self._num_faults > 1:
            left_out = self._num_faults - len(self._kept)
            more = f", the first {len(self._kept)} in `details` and {left_out} more" if left_out else ""
            message = f"The request has {self._num_faults} faults{more}. The first: {message}"
        raise refusal(message, tuple(self._kept))


def structural_faults(errors: Iterable[ErrorDetails]) -> Iterator[Fault]:
    """Pydantic's findings as ours: each place once, in whole sentences."""
    pointed: set[str] = set()
    for found in errors:
        fault = _fault(found)
        # An event type that is neither string nor integer is found twice, once a branch.
        if fault.pointer not in pointed or found["type"] == "missing":
            pointed.add(fault.pointer)
            yield fault


def received(value: object) -> str:
    """`value` as a message shows it: JSON, cut short."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    if isinstance(value, str):
        value = value[:_MAX_SHOWN_CHARACTERS]
    text = to_json(value, inf_nan_mode="constants").decode()
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"


def pointer(*steps: str | int) -> str:
    """The JSON pointer (RFC 6901) that leads along `steps`."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def unknown_field(given: Mapping[str, object], known: Collection[str]) -> tuple[str, Callable[[], str]]:
    """The fault of an object with a field that is not ours.

    Returns:
        Its place, which leads no further than the object if the name is too long to repeat; and what makes its message.
        Looking for the name that was meant takes a fraction of a millisecond, too long for each of many sequences.
    """
    name = next(name for name in given if name not in known)
    is_short = len(name) <= MAX_TEXT_LENGTH

    def message() -> str:
        # Comparing names takes seconds once one of them is as long as a body may be.
        nearest = get_close_matches(name, known, n=1) if is_short else []
        hint = f" Did you mean `{nearest[0]}`?" if nearest else ""
        expected = ", ".join(f"`{field}`" for field in known)
        return f"Expected only the fields {expected}. Received: {received(name)}.{hint}"

    return pointer(name) if is_short else "", message


def _fault(found: ErrorDetails) -> Fault:
    place = found["loc"]
    if found["type"] == "missing":
        # Pointing at what is not there would lead nowhere.
        return Fault(pointer(*place[:-1]), f"Expected the field `{place[-1]}`. Received: no such field.")
    # Pydantic's own words may hold braces.
    template = _EXPECTED.get(found["type"])
    expected = found["msg"] if template is None else template.format(**found.get("ctx", {}))
    if place and place[-1] in _EVENT_TYPE_BRANCHES:
        place = place[:-1]
        if found["type"] != "string_too_long":
            expected = _EXPECTED_EVENT_TYPE
    # Of a tensor's shape there is nothing to split.
    way_out = " Split them into requests." if found["type"] == "too_long" and place == ("sequences",) else ""
    return Fault(pointer(*place), f"{expected}. Received: {_received(found)}.{way_out}")


def _received(found: ErrorDetails) -> str:
    match found["type"]:
        case "string_too_long":
            return f"{len(found['input'])}"
        case "too_long":
            return f"{found['ctx']['actual_length']}"
        case "json_invalid":
            return str(found["ctx"]["error"])
        case _:
            return received(found["input"])
