import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.further_inputs import FurtherInput
from service.attributes import attributes_of
from service.errors import InvalidRequestError
from service.histories import Rules
from service.score_request import Histories, read_score_request
from tests.service.told_models import AGE, AMOUNT, CHANNEL, CLOCK, COUNTRY, INPUTS, required

# A Wednesday.
NOW = datetime(2020, 1, 1, 12, tzinfo=UTC)
MINUTES: dict[str, Any] = {"event_types": ["a", "b"], "elapsed_minutes": [5, 0]}
TIMES: dict[str, Any] = {
    "events": [{"type": "a", "time": "2019-12-31T23:55:00Z"}, {"type": "b", "time": "2020-01-01T00:00:30Z"}]
}
VALUES = {"age": 33, "country": "DE"}
ALL_REQUIRED = tuple(map(required, INPUTS))


def read(sequence: dict[str, Any], *inputs: FurtherInput) -> Histories:
    rules = Rules(
        max_sequence_events=100,
        max_clock_skew_seconds=300,
        max_events=8,
        max_elapsed_minutes=10_000,
        scores_between_events=True,
        further=inputs,
    )
    return read_score_request(json.dumps({"sequences": [sequence]}).encode(), rules, 10, NOW)


def pointer(sequence: dict[str, Any], *inputs: FurtherInput) -> str:
    with pytest.raises(InvalidRequestError) as raised:
        read(sequence, *inputs)
    (fault,) = raised.value.details
    return fault.pointer.removeprefix("/sequences/0")


def events(*attributes: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "events": [
            event if given is None else event | {"attributes": given}
            for event, given in zip(TIMES["events"], attributes, strict=True)
        ]
    }


def test_both_forms_say_the_same() -> None:
    columns = MINUTES | {
        "attributes": VALUES | {"amount": [1.5, -2], "channel": ["web", 7]},
        "as_of": "2020-01-01T00:00:30Z",
    }
    of_each = events({"amount": 1.5, "channel": "web"}, {"amount": -2, "channel": 7}) | {"attributes": VALUES}

    expected = {**VALUES, "amount": [1.5, -2], "channel": ["web", 7], "scored_minute_of_week": 2 * 1_440 + 0.5}
    assert read(columns, *ALL_REQUIRED).further == read(of_each, *ALL_REQUIRED).further == (expected,)


def test_what_has_a_default_may_be_left_out_or_null() -> None:
    nulls = {"age": None, "country": None, "amount": [None, 2], "channel": None}
    nothing = dict.fromkeys(["amount", "channel", "age", "country", "scored_minute_of_week"])

    assert read(MINUTES, *INPUTS).further == (nothing,)
    assert read(MINUTES | {"attributes": None}, *INPUTS).further == (nothing,)
    assert read(MINUTES | {"attributes": nulls}, *INPUTS).further == (nothing | {"amount": [None, 2]},)
    (told,) = read(events({"amount": None}, None), *INPUTS).further
    assert told == nothing | {
        "amount": [None, None],
        "channel": [None, None],
        "scored_minute_of_week": 2 * 1_440 + 0.5,
    }


def test_as_of_is_the_scoring_moment_of_the_clock() -> None:
    (told,) = read(TIMES | {"as_of": "2020-01-01T02:00:00+01:00"}, CLOCK).further

    assert told == {"scored_minute_of_week": 2 * 1_440 + 60}


def test_the_values_of_a_golden_example_can_be_sent() -> None:
    values: dict[str, Any] = {"amount": (1.5, 2), "age": 33.0, "scored_minute_of_week": 8_000.25}

    sequence = json.loads(json.dumps({**MINUTES, **attributes_of(values)}))

    (told,) = read(sequence, required(AMOUNT), required(AGE), required(CLOCK)).further
    assert told == values | {"amount": [1.5, 2]}
    assert attributes_of({}) == {}


def test_without_further_inputs_nothing_is_kept() -> None:
    assert read(MINUTES).further == ()


@pytest.mark.parametrize(
    ("sequence", "inputs", "expected"),
    [
        # Of a model that is told nothing more.
        (MINUTES | {"attributes": {}}, (), "/attributes"),
        (events({}, None), (), "/events/0/attributes"),
        (MINUTES | {"as_of": "2020-01-01T00:00:00Z"}, (AGE,), "/as_of"),
        # Names.
        (MINUTES | {"attributes": {"aeg": 1}}, INPUTS, "/attributes/aeg"),
        (MINUTES | {"attributes": {"scored_minute_of_week": 1}}, INPUTS, "/attributes/scored_minute_of_week"),
        (MINUTES | {"attributes": {"x" * 300: 1}}, INPUTS, "/attributes"),
        (TIMES | {"attributes": {"amount": [1, 2]}}, INPUTS, "/attributes/amount"),
        (events(None, {"age": 1}), INPUTS, "/events/1/attributes/age"),
        # Shapes.
        (MINUTES | {"attributes": [1]}, INPUTS, "/attributes"),
        (events(None, {"amount": [1]}), (AMOUNT,), "/events/1/attributes/amount"),
        (MINUTES | {"attributes": {"amount": 1}}, (AMOUNT,), "/attributes/amount"),
        (MINUTES | {"attributes": {"amount": [1]}}, (AMOUNT,), "/attributes/amount"),
        (MINUTES | {"attributes": {"age": [1, 2]}}, (AGE,), "/attributes/age"),
        # Values.
        (MINUTES | {"attributes": {"amount": [1, "2"]}}, (AMOUNT,), "/attributes/amount/1"),
        (MINUTES | {"attributes": {"amount": [True, 2]}}, (AMOUNT,), "/attributes/amount/0"),
        (MINUTES | {"attributes": {"amount": [1, 1e39]}}, (AMOUNT,), "/attributes/amount/1"),
        (MINUTES | {"attributes": {"amount": [1, float("nan")]}}, (AMOUNT,), "/attributes/amount/1"),
        (MINUTES | {"attributes": {"amount": [1, 10**400]}}, (AMOUNT,), "/attributes/amount/1"),
        (MINUTES | {"attributes": {"amount": [1, None]}}, (required(AMOUNT),), "/attributes/amount/1"),
        (MINUTES | {"attributes": {"channel": ["web", 7.5]}}, (CHANNEL,), "/attributes/channel/1"),
        (MINUTES | {"attributes": {"channel": ["web", "x" * 257]}}, (CHANNEL,), "/attributes/channel/1"),
        (MINUTES | {"attributes": {"country": False}}, (COUNTRY,), "/attributes/country"),
        (events(None, {"amount": float("inf")}), (AMOUNT,), "/events/1/attributes/amount"),
        # What is missing is looked for where it should be.
        (MINUTES, (required(AMOUNT),), ""),
        (MINUTES | {"attributes": {"age": 1}}, (AGE, required(AMOUNT)), "/attributes"),
        (events({"amount": 1}, None), (required(AMOUNT),), "/events/1"),
        (MINUTES, (required(CLOCK),), ""),
        (MINUTES | {"as_of": "2020-01-01"}, (CLOCK,), "/as_of"),
        (MINUTES | {"as_of": "2020-01-01T12:06:00Z"}, (CLOCK,), "/as_of"),
    ],
)
def test_each_fault_is_pointed_at(sequence: dict[str, Any], inputs: tuple[FurtherInput, ...], expected: str) -> None:
    assert pointer(sequence, *inputs) == expected


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
attributes = scalars | st.dictionaries(
    st.sampled_from(["amount", "channel", "age", "country", "x/~"]), scalars | st.lists(scalars, max_size=3)
)


@given(attributes, attributes)
def test_no_attributes_are_more_than_refused(of_sequence: Any, of_event: Any) -> None:  # noqa: ANN401
    for sequence in (MINUTES | {"attributes": of_sequence}, events(of_event, None) | {"attributes": of_sequence}):
        with suppress(InvalidRequestError):
            (told,) = read(sequence, *INPUTS).further
            assert told.keys() == {one.name for one in INPUTS}
