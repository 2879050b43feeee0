import json
from typing import Any

import pytest
from pydantic import ValidationError

from service.schemas import (
    MAX_ELAPSED_MINUTES,
    MAX_TEXT_LENGTH,
    SCORE_REQUEST,
    SEQUENCE,
)


def _place(sequence: dict[str, Any]) -> tuple[int | str, ...]:
    with pytest.raises(ValidationError) as raised:
        SEQUENCE.validate_json(json.dumps(sequence))
    return raised.value.errors()[0]["loc"][:2]


@pytest.mark.parametrize("event_type", ["", "Opened/Phone", "é", 0, -7, 10**30])
def test_an_event_type_is_a_string_or_an_integer(event_type: str | int) -> None:
    sequence = {"event_types": [event_type], "elapsed_minutes": [0]}

    assert SEQUENCE.validate_json(json.dumps(sequence))["event_types"] == [event_type]


@pytest.mark.parametrize("event_type", [True, 1.0, None, [], {}, "x" * (MAX_TEXT_LENGTH + 1)])
def test_nothing_else_is_an_event_type(event_type: object) -> None:
    assert _place({"event_types": ["a", event_type]}) == ("event_types", 1)


@pytest.mark.parametrize(
    "minutes", ["1", True, None, [], -0.1, float("nan"), float("inf"), MAX_ELAPSED_MINUTES * 1.001, 1e39]
)
def test_minutes_are_bounded_numbers(minutes: object) -> None:
    assert _place({"elapsed_minutes": [5, minutes]}) == ("elapsed_minutes", 1)


def test_the_first_fault_of_a_long_array_ends_its_reading() -> None:
    with pytest.raises(ValidationError) as raised:
        SEQUENCE.validate_json(json.dumps({"elapsed_minutes": ["x"] * 10_000}))
    assert raised.value.error_count() == 1


def test_the_json_schema_refuses_unknown_fields_and_requires_sequences() -> None:
    schema = SCORE_REQUEST.json_schema()

    parts = [schema, *schema["$defs"].values()]
    assert [part["additionalProperties"] for part in parts] == [False, False, False]
    assert schema["required"] == ["sequences"]
