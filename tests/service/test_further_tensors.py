from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.sequences import Vocabulary, encode
from service.errors import InvalidTensorsError
from service.live_model import LiveModel
from service.settings import Settings
from service.tensors import Tensors, read_tensors
from tests.service.conftest import MAX_EVENTS, VOCABULARY
from tests.service.live_models import live_model, manifest
from tests.service.told_models import AGE, AMOUNT, CHANNEL, CLOCK, COUNTRY, required, told_model

TYPES = Vocabulary(VOCABULARY)
ROWS = [["7"], ["New/P3"] * (MAX_EVENTS + 2)]
MINUTES = [[0.0], [float(MAX_EVENTS + 1 - k) for k in range(MAX_EVENTS + 2)]]
LONG = len(ROWS[1])
OF_ROWS: dict[str, Any] = {
    "amount": [[2.5], [float(k) for k in range(LONG)]],
    "channel": [["web"], ["7", "fax"] * (LONG // 2)],
    "age": [33, 1e30],
    "country": ["DE", "never heard of"],
    "scored_minute_of_week": [0.0, 10_080],
}


@pytest.fixture(scope="module")
def model() -> LiveModel:
    return told_model()


def padded(rows: list[list[Any]], padding: float) -> NDArray[Any]:
    return np.array([[*row, *[padding] * (LONG - len(row))] for row in rows])


def as_ids() -> dict[str, NDArray[Any]]:
    """The same as arrays, with whatever in padding."""
    return {
        "amount": padded(OF_ROWS["amount"], np.nan).astype(np.float32),
        "channel": padded([[2], [3, 1] * (LONG // 2)], -9),
        "age": np.array([[33], [1e30]]),
        "country": np.array([2, 1], np.int32),
        "scored_minute_of_week": np.array([0.0, 10_080], np.float32),
    }


def tensors(further: dict[str, Any]) -> Tensors:
    return Tensors(event_types=ROWS, elapsed_minutes=MINUTES, further=further)


@pytest.mark.parametrize("is_array", [False, True])
def test_every_way_to_send_values_is_encoded_as_our_own_protocol_does(model: LiveModel, is_array: bool) -> None:
    sent = tensors(OF_ROWS)
    if is_array:
        ids = padded([TYPES.ids(row) for row in ROWS], 0)
        sent = Tensors(event_ids=ids, elapsed_minutes=padded(MINUTES, 5.0), further=as_ids())

    histories, batch = read_tensors(sent, model, Settings())

    told = [{name: values[row] for name, values in OF_ROWS.items()} for row in range(2)]
    expected = model.further.complete(encode(ROWS, MINUTES, TYPES, MAX_EVENTS), told)
    for name, array in expected.further.items():
        assert batch.further[name].tolist() == array.tolist()
        assert batch.further[name].dtype == array.dtype
    # What a challenger with other categories is told.
    again = model.further.complete(encode(ROWS, MINUTES, TYPES, MAX_EVENTS), [*histories.further])
    assert {name: array.tolist() for name, array in again.further.items()} == {
        name: array.tolist() for name, array in expected.further.items()
    }


def test_what_is_left_out_is_at_its_default(model: LiveModel) -> None:
    _, batch = read_tensors(tensors({"age": [1, 2]}), model, Settings())

    assert batch.further["amount"].tolist() == [[0.5] + [0.0] * (MAX_EVENTS - 1), [0.5] * MAX_EVENTS]
    assert batch.further["channel"][1].tolist() == [1] * MAX_EVENTS
    assert batch.further["country"].tolist() == [3, 3]
    assert batch.further["scored_minute_of_week"].tolist() == [60, 60]


def test_a_model_told_nothing_more_has_no_further_arrays() -> None:
    _, batch = read_tensors(tensors({}), live_model(manifest(), version=1), Settings())

    assert batch.further == {}


@pytest.mark.parametrize(
    ("name", "values", "pointer"),
    [
        ("amount", [[1], [1.0] * (LONG - 1)], "/amount/1"),
        ("amount", [[1]], "/amount"),
        ("amount", [1, [1.0] * LONG], "/amount/0"),
        ("amount", [[1], [1.0] * (LONG - 1) + [float("nan")]], f"/amount/1/{LONG - 1}"),
        ("amount", [[1e31], [1.0] * LONG], "/amount/0/0"),
        ("amount", [["1"], [1.0] * LONG], "/amount/0/0"),
        ("amount", [[True], [1.0] * LONG], "/amount/0/0"),
        ("amount", [[10**400], [1.0] * LONG], "/amount/0/0"),
        ("amount", np.zeros((2, 3)), "/amount"),
        ("amount", np.full((2, LONG), np.inf), "/amount/0/0"),
        ("channel", [[0], [1] * LONG], "/channel/0/0"),
        ("channel", [[4], [1] * LONG], "/channel/0/0"),
        ("channel", [[10**400], [1] * LONG], "/channel/0/0"),
        ("channel", [["x" * 300], [1] * LONG], "/channel/0/0"),
        ("channel", [[1.5], [1] * LONG], "/channel/0/0"),
        ("channel", np.ones((2, LONG)), "/channel/0/0"),
        ("age", [1], "/age"),
        ("age", [1, [2]], "/age/1"),
        ("age", [1, None], "/age/1"),
        ("country", ["CH", 4], "/country/1"),
        ("scored_minute_of_week", [0, 10_081], "/scored_minute_of_week/1"),
    ],
)
def test_each_fault_is_pointed_at(model: LiveModel, name: str, values: Any, pointer: str) -> None:  # noqa: ANN401
    ids = padded([TYPES.ids(row) for row in ROWS], 0)
    is_array = isinstance(values, np.ndarray)
    sent = (
        Tensors(event_ids=ids, elapsed_minutes=padded(MINUTES, 0.0), further={name: values})
        if is_array
        else tensors({name: values})
    )

    with pytest.raises(InvalidTensorsError) as raised:
        read_tensors(sent, model, Settings())

    assert raised.value.details[0].pointer == pointer


@pytest.mark.parametrize("one", [AMOUNT, CHANNEL, AGE, COUNTRY, CLOCK])
def test_what_has_no_default_must_be_there(one: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidTensorsError, match=f"the tensor `{one.name}`, which has no default"):
        read_tensors(tensors({}), told_model(required(one)), Settings())
