from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from models.further_inputs import LARGEST_NUMBER, FurtherInput, FurtherInputs, minute_of_week
from models.sequences import Vocabulary, encode

AMOUNT = FurtherInput(name="amount", kind="numeric", per="event", unit="EUR", default=0.5)
CHANNEL = FurtherInput(
    name="channel", kind="categorical", per="event", unit=None, default="none", categories=("web", "7")
)
AGE = FurtherInput(name="age", kind="numeric", per="sequence", unit="years", default=None)
CLOCK = FurtherInput(name="scored_minute_of_week", kind="clock", per="sequence", unit="minutes", default=0.0)
INPUTS = FurtherInputs([AMOUNT, CHANNEL, AGE, CLOCK])


def changed(one: FurtherInput, **fields: object) -> FurtherInput:
    return FurtherInput.model_validate(one.model_dump() | fields)


def test_values_become_arrays_beside_the_events_that_are_used() -> None:
    histories = encode([["login", "pay", "pay"], ["pay"]], [[9, 4, 0], [0]], Vocabulary(("login", "pay")), 2)

    batch = INPUTS.complete(
        histories,
        [
            {"amount": [1, None, 2.5], "channel": ["web", 7, "fax"], "age": 40, "scored_minute_of_week": 600},
            {"age": 7.5},
        ],
    )

    assert {name: array.tolist() for name, array in batch.further.items()} == {
        "amount": [[0.5, 2.5], [0.5, 0]],
        "channel": [[3, 1], [1, 0]],
        "age": [40, 7.5],
        "scored_minute_of_week": [600, 0],
    }
    assert {name: array.dtype for name, array in batch.further.items()} == {
        "amount": np.float32,
        "channel": np.int32,
        "age": np.float32,
        "scored_minute_of_week": np.float32,
    }
    assert list(batch.tensors) == ["event_ids", "elapsed_minutes", *batch.further]


def test_rows_are_taken_with_their_further_inputs() -> None:
    histories = encode([["pay"], ["pay", "pay"]], [[0], [1, 0]], Vocabulary(("pay",)), 5)
    batch = INPUTS.complete(histories, [{"age": 1}, {"age": 2, "amount": [3, 4]}])

    taken = batch.take(np.array([1]))

    assert taken.further["age"].tolist() == [2]
    assert taken.further["amount"].tolist() == [[3, 4]]
    assert taken.events_used.tolist() == [2]


@pytest.mark.parametrize(
    ("one", "fields", "message"),
    [
        (AMOUNT, {"name": "Amount"}, "should match pattern"),
        (AMOUNT, {"name": "event_ids"}, "which every model has"),
        (AMOUNT, {"name": "scored_minute_of_week"}, "for the clock, and for nothing else"),
        (CLOCK, {"name": "hour"}, "for the clock, and for nothing else"),
        (CLOCK, {"per": "event"}, "the clock per sequence"),
        (CLOCK, {"default": 10_081.0}, "a default from 0 to 10080"),
        (AMOUNT, {"categories": ("a",)}, "categories for a categorical input, and for no other"),
        (CHANNEL, {"categories": ()}, "categories for a categorical input"),
        (CHANNEL, {"categories": ("a", "a")}, "each category once"),
        (CHANNEL, {"unit": "EUR"}, "no unit"),
        (CHANNEL, {"default": 1.0}, "a category as the default"),
        (AMOUNT, {"default": "1"}, "a number for others"),
        (AMOUNT, {"default": float("nan")}, "a default from"),
        (AMOUNT, {"default": 2 * LARGEST_NUMBER}, "a default from"),
        (AMOUNT, {"surprise": 1}, "Extra inputs"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(
    one: FurtherInput, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(one, **fields)


def test_the_clock_counts_from_monday_in_utc() -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    origin = datetime(1970, 1, 1, tzinfo=UTC)
    times = [
        monday + timedelta(minutes=0.5),
        monday + timedelta(days=6, hours=23, minutes=59),
        datetime(1969, 12, 29, 1, tzinfo=UTC),
    ]

    minutes = minute_of_week(np.array([(time - origin) // timedelta(microseconds=1) for time in times]))

    assert minutes.tolist() == [0.5, 10_079, 60]
