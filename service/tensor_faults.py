"""What is wrong with a row of tensors that breaks a rule: only refused requests pay for looking cell by cell."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError

from models.sequences import PADDING_ID, UNKNOWN_ID, EventType
from service.broken_rule import BrokenRuleError
from service.faults import received, structural_faults
from service.histories import Rules, check_minutes, check_num_events
from service.schemas import ElapsedMinutes

_MINUTES = TypeAdapter(Annotated[list[ElapsedMinutes], FailFast()], config=ConfigDict(strict=True))


def check_row(name: str, events: Sequence[EventType], minutes: list[float], vocabulary_size: int, rules: Rules) -> None:
    """Check a row that may be padded.

    Args:
        name: `event_ids` or `event_types`, whichever `events` are.
        events: Oldest first; ids or event types.
        minutes: As many numbers.
        vocabulary_size: Ids in use, padding and unknown included.
        rules: What the row must obey.

    Raises:
        BrokenRuleError: At the first rule it breaks; its place begins with the name of the tensor.
    """
    padding = PADDING_ID if name == "event_ids" else ""
    num_events = len(events)
    while num_events and events[num_events - 1] == padding:
        num_events -= 1
    if not num_events:
        raise BrokenRuleError(f"/{name}", "Expected at least one event in a row. Received: none.")
    check_num_events(f"/{name}", num_events, rules)
    for position, event in enumerate(events[:num_events]):
        if event == padding:
            raise BrokenRuleError(
                f"/{name}/{position}",
                f"Expected padding, {received(padding)}, only after the last event. Received: an event after it.",
            )
        if name == "event_ids" and not UNKNOWN_ID <= int(event) < vocabulary_size:
            raise BrokenRuleError(
                f"/{name}/{position}",
                f"Expected an event id from {UNKNOWN_ID} (unknown) to {vocabulary_size - 1}, the last of the model's "
                f"vocabulary. Received: {received(event)}.",
            )
    try:
        _MINUTES.validate_python(minutes[:num_events])
    except ValidationError as error:
        fault = next(structural_faults(error.errors(include_url=False)))
        raise BrokenRuleError(f"/elapsed_minutes{fault.pointer}", fault.message) from error
    check_minutes(minutes[:num_events], num_events, rules)
