"""The reading of a request for scores: bytes -> histories, or every fault in it.

Histories              sequences in one form, whichever they came in
read_score_request     bytes -> histories
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from models.further_inputs import FurtherValues
from models.sequences import EventType
from service.attributes import read_attributes
from service.broken_rule import BrokenRuleError
from service.errors import Fault, InvalidRequestError, MalformedJsonError
from service.faults import Faults, structural_faults, unknown_field
from service.histories import Rules, read_history
from service.joined_histories import FEWEST_SEQUENCES, JoinedHistories
from service.schemas import SCORE_REQUEST, SEQUENCE, ScoreRequest, SequenceBody

_FIELDS = ScoreRequest.__annotations__.keys()

# Two a sequence of a full request. Beyond this, a small body would keep everyone waiting while its faults are listed.
_MAX_STRUCTURAL_FAULTS = 2_000


@dataclass(frozen=True, slots=True)
class Histories:
    """The sequences of a request in order, all in one form.

    Attributes:
        model: The model asked for; None for the one that is served.
        ids: What the client calls each sequence.
        event_types: Oldest event first.
        elapsed_minutes: Minutes before the scoring moment, aligned with `event_types`.
        further: What else is known of each, for a model that is told; else empty.
    """

    model: str | None
    ids: list[str | None]
    event_types: Sequence[list[EventType]]
    elapsed_minutes: Sequence[list[float]]
    further: Sequence[FurtherValues] = ()


def read_score_request(body: bytes, rules: Rules, max_sequences: int, now: datetime) -> Histories:
    """Read a request for scores and check every rule.

    Args:
        body: As it came: JSON in UTF-8.
        rules: What each sequence must obey.
        max_sequences: Most sequences in one request.
        now: What event times are compared with.

    Raises:
        MalformedJsonError: `body` is not JSON.
        InvalidRequestError: It is, but breaks the schema or a rule; every sequence at fault is named.
    """
    faults = Faults()
    request, salvaged = _parse(body, faults)
    if not request.keys() <= _FIELDS:
        field, told = unknown_field(request, _FIELDS)
        faults.add(Fault(field, told()))
    num_sequences = len(request["sequences"])
    if num_sequences > max_sequences:
        message = f"Expected at most {max_sequences} sequences. Received: {num_sequences}. Split them into requests."
        faults.add(Fault("/sequences", message))
        faults.raise_if_any()
    if salvaged is None and num_sequences >= FEWEST_SEQUENCES and not rules.further:
        joined = JoinedHistories.of(request["sequences"], rules)
        if joined is not None:
            faults.raise_if_any()
            ids = [sequence.get("id") for sequence in request["sequences"]]
            return Histories(request.get("model"), ids, joined.event_types, joined.elapsed_minutes)
    return _one_by_one(request, enumerate(request["sequences"]) if salvaged is None else salvaged, rules, now, faults)


def _one_by_one(
    request: ScoreRequest, sequences: Iterable[tuple[int, SequenceBody]], rules: Rules, now: datetime, faults: Faults
) -> Histories:
    """Check each sequence by itself, and refuse the request if one of them is at fault."""
    ids: list[str | None] = []
    event_types: list[list[EventType]] = []
    elapsed_minutes: list[list[float]] = []
    further: list[FurtherValues] = []
    for position, sequence in sequences:
        try:
            types, minutes = read_history(sequence, rules, now)
            if rules.further:
                further.append(read_attributes(sequence, len(types), rules, now))
        except BrokenRuleError as broken:
            if faults.is_full:
                faults.leave_out(1)
            else:
                faults.add(Fault(f"/sequences/{position}{broken.place}", broken.message))
        else:
            ids.append(sequence.get("id"))
            event_types.append(types)
            elapsed_minutes.append(minutes)
    faults.raise_if_any()
    return Histories(request.get("model"), ids, event_types, elapsed_minutes, tuple(further))


def _parse(body: bytes, faults: Faults) -> tuple[ScoreRequest, Iterable[tuple[int, SequenceBody]] | None]:
    """The request, and those of its sequences that satisfy the schema, by position; None if all of it does."""
    try:
        return SCORE_REQUEST.validate_json(body), None
    except ValidationError as error:
        return _salvage(body, error, faults)


def _salvage(
    body: bytes, error: ValidationError, faults: Faults
) -> tuple[ScoreRequest, Iterable[tuple[int, SequenceBody]]]:
    """Record what breaks the schema, and return what does not, so that one answer names every sequence at fault.

    Only a refused request pays for this second reading.
    """
    if error.error_count() > _MAX_STRUCTURAL_FAULTS:
        message = (
            "Expected `sequences`, each with `event_types` and `elapsed_minutes`, or with `events`. "
            f"Received: a request with {error.error_count()} faults."
        )
        raise InvalidRequestError(message, (Fault("", "There are too many faults to list."),))
    found = error.errors(include_url=False)
    if found[0]["type"] == "json_invalid":
        reason = found[0]["ctx"]["error"]
        raise MalformedJsonError(f"Expected JSON in UTF-8. Received: {reason}.", (Fault("", f"Not JSON: {reason}."),))
    faults.extend(structural_faults(found))
    document = from_json(body)
    if not isinstance(document, dict) or not isinstance(document.get("sequences"), list):
        faults.raise_if_any()
    unsound = {step for fault in found for step in fault["loc"][1:2]}
    sound = (
        (position, SEQUENCE.validate_json(to_json(sequence, inf_nan_mode="constants")))
        for position, sequence in enumerate(document["sequences"])
        if position not in unsound
    )
    return document, sound
