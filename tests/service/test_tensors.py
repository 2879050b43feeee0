from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.sequences import UNKNOWN_ID, Vocabulary, encode
from service.broken_rule import BrokenRuleError
from service.errors import InvalidTensorsError, WrongElementError
from service.histories import Rules
from service.live_model import LiveModel
from service.settings import Settings
from service.tensor_faults import check_row
from service.tensors import Tensors, read_tensors
from tests.service.conftest import MAX_EVENTS, VOCABULARY
from tests.service.live_models import live_model, manifest

SETTINGS = Settings(max_sequences=30, max_sequence_events=12)
TYPES = Vocabulary(VOCABULARY)
SIZE = TYPES.size

types_of_rows = st.lists(
    st.lists(st.sampled_from([*VOCABULARY, "never seen"]), min_size=1, max_size=12), min_size=1, max_size=8
)


@pytest.fixture(scope="module")
def model() -> LiveModel:
    return live_model(manifest(), version=1)


@pytest.fixture(scope="module")
def between(model: LiveModel) -> LiveModel:
    """Trained to score between events."""
    return live_model(model.manifest.model_copy(update={"scores_between_events": True}), version=1)


def _minutes(rows: list[list[str]]) -> list[list[float]]:
    return [[(len(row) - 1 - k) * 0.1 for k in range(len(row))] for row in rows]


def _padded(rows: list[list[Any]], padding: float) -> NDArray[Any]:
    time = max(map(len, rows)) + 1
    return np.array([[*row, *[padding] * (time - len(row))] for row in rows])


def _refusal(model: LiveModel, settings: Settings = SETTINGS, **tensors: Any) -> InvalidTensorsError:  # noqa: ANN401
    with pytest.raises(InvalidTensorsError) as raised:
        read_tensors(Tensors(**tensors), model, settings)
    return raised.value


@given(types_of_rows)
def test_every_way_to_send_a_history_is_encoded_as_our_own_protocol_does(
    model: LiveModel, types: list[list[str]]
) -> None:
    minutes, ids = _minutes(types), [TYPES.ids(row) for row in types]
    ways = [
        Tensors(event_ids=ids, elapsed_minutes=minutes),
        Tensors(event_types=types, elapsed_minutes=minutes),
        Tensors(event_ids=[[*row, 0] for row in ids], elapsed_minutes=[[*row, float("nan")] for row in minutes]),
        Tensors(event_types=[[*row, ""] for row in types], elapsed_minutes=[[*row, 5] for row in minutes]),
        Tensors(event_ids=_padded(ids, 0), elapsed_minutes=_padded(minutes, float("nan"))),
    ]

    expected = encode(types, minutes, TYPES, MAX_EVENTS)
    for tensors in ways:
        histories, batch = read_tensors(tensors, model, SETTINGS)

        for field in ("event_ids", "elapsed_minutes", "events_used", "events_truncated", "unknown_events"):
            assert getattr(batch, field).tolist() == getattr(expected, field).tolist()
            assert getattr(batch, field).dtype == getattr(expected, field).dtype
        assert histories.ids == [None] * len(types)
        assert [*histories.elapsed_minutes] == minutes


def test_a_challenger_gets_event_types_back_from_ids(model: LiveModel) -> None:
    tensors = Tensors(event_ids=[[2, 5], [UNKNOWN_ID]], elapsed_minutes=[[1, 0], [0]])

    histories, _ = read_tensors(tensors, model, SETTINGS)

    known, unknown = histories.event_types
    assert known == [VOCABULARY[0], VOCABULARY[3]]
    assert Vocabulary([*VOCABULARY, "", "unknown"]).ids(unknown) == [UNKNOWN_ID]


def test_an_id_sent_as_unknown_is_scored_and_counted(model: LiveModel) -> None:
    _, batch = read_tensors(Tensors(event_ids=[[1, 2, 1]], elapsed_minutes=[[0, 0, 0]]), model, SETTINGS)

    assert batch.unknown_events.tolist() == [2]


def test_every_row_at_fault_is_named(model: LiveModel) -> None:
    rows = [[2], [9], [2], [0], [2, 0, 3], []]

    refusal = _refusal(model, event_ids=rows, elapsed_minutes=[[0.0] * len(row) for row in rows])

    assert [fault.pointer for fault in refusal.details] == [
        "/event_ids/1/0",
        "/event_ids/3",
        "/event_ids/4/1",
        "/event_ids/5",
    ]
    assert refusal.status == 400


def test_after_the_first_rows_at_fault_the_rest_are_counted(model: LiveModel) -> None:
    refusal = _refusal(model, event_ids=np.full((30, 1), 99), elapsed_minutes=np.zeros((30, 1)))

    assert len(refusal.details) == 20
    assert "30 faults, the first 20 in `details` and 10 more" in refusal.message


def test_a_protocol_may_say_where_its_rows_are(model: LiveModel) -> None:
    refusal = _refusal(model, event_ids=[[2], [9]], elapsed_minutes=[[0], [0]], place="/instances/{row}/{tensor}")

    assert [fault.pointer for fault in refusal.details] == ["/instances/1/event_ids/0"]


def test_scoring_between_events_is_accepted_by_a_model_trained_for_it(between: LiveModel) -> None:
    _, batch = read_tensors(Tensors(event_ids=[[2, 2]], elapsed_minutes=[[5, 3]]), between, SETTINGS)

    assert batch.elapsed_minutes.tolist() == [[5, 3]]


def test_truncated_events_may_be_older_than_the_model_takes(model: LiveModel) -> None:
    minutes = [[900_000.0, 90_000, *[0.0] * (MAX_EVENTS - 1)]]

    _, batch = read_tensors(Tensors(event_ids=[[2] * len(minutes[0])], elapsed_minutes=minutes), model, SETTINGS)

    assert batch.events_truncated.tolist() == [1]


@pytest.mark.parametrize(
    ("tensors", "pointer", "message"),
    [
        ({"event_ids": [], "elapsed_minutes": []}, "/event_ids", "at least 1 row"),
        ({"event_types": [], "elapsed_minutes": []}, "/event_types", "at least 1 row"),
        ({"event_ids": [[2]], "elapsed_minutes": []}, "/elapsed_minutes", "so 1. Received: 0"),
        ({"event_ids": [[2]] * 31, "elapsed_minutes": [[0]] * 31}, "/event_ids", "at most 30 sequences"),
        ({"event_ids": [[2], [2]], "elapsed_minutes": [[0], [1, 0]]}, "/elapsed_minutes/1", "so 1. Received: 2"),
        ({"event_ids": [[2] * 13], "elapsed_minutes": [[0] * 13]}, "/event_ids/0", "at most 12 events"),
        ({"event_ids": np.array([2]), "elapsed_minutes": [[0]]}, "/event_ids", "the shape (batch, time)"),
        ({"event_ids": np.ones((1, 2, 3), int), "elapsed_minutes": [[0]]}, "/event_ids", "Received: (1, 2, 3)"),
        ({"event_ids": np.ones((1, 2)), "elapsed_minutes": np.zeros((1, 2))}, "/event_ids", "Received: float64"),
        ({"event_ids": np.ones((1, 2), bool), "elapsed_minutes": np.zeros((1, 2))}, "/event_ids", "Received: bool"),
        ({"event_ids": [[2]], "elapsed_minutes": np.zeros((1, 1), bool)}, "/elapsed_minutes", "Received: bool"),
        ({"event_ids": np.array([[2**63]], np.uint64), "elapsed_minutes": [[0]]}, "/event_ids/0/0", "Received: 9223"),
        ({"event_ids": [[2**63]], "elapsed_minutes": [[0]]}, "/event_ids/0/0", "Received: 9223372036854775808"),
        ({"event_ids": [[2]], "elapsed_minutes": [[10**400]]}, "/elapsed_minutes/0/0", "Expected"),
        ({"event_types": [["a", "a", ""]], "elapsed_minutes": [[0, 1, 0]]}, "/elapsed_minutes/0/1", "never increase"),
        ({"event_types": [["", "a"]], "elapsed_minutes": [[0, 0]]}, "/event_types/0/0", "only after the last event"),
        ({"event_types": [[""]], "elapsed_minutes": [[0]]}, "/event_types/0", "at least one event"),
        ({"event_types": [["x" * 257]], "elapsed_minutes": [[0]]}, "/event_types/0/0", "at most 256 characters"),
    ],
)  # fmt: skip
def test_bad_tensors_are_refused_with_their_place(
    model: LiveModel, tensors: dict[str, Any], pointer: str, message: str
) -> None:
    refusal = _refusal(model, **tensors)

    assert refusal.details[0].pointer == pointer
    assert message in refusal.details[0].message


@pytest.mark.parametrize(
    ("tensor", "element"),
    [
        ("event_ids", 2.0), ("event_ids", True), ("event_ids", "2"), ("event_ids", None), ("event_ids", [2]),
        ("event_types", 2.0), ("event_types", False), ("event_types", {"b64": "YQ=="}),
        ("elapsed_minutes", "0"), ("elapsed_minutes", True), ("elapsed_minutes", [0]), ("elapsed_minutes", None),
    ],
)  # fmt: skip
def test_an_element_of_another_type_is_refused(model: LiveModel, tensor: str, element: object) -> None:
    tensors: dict[str, Any] = {"event_ids": [[2, 2]], "elapsed_minutes": [[0, 0]]}
    if tensor == "event_types":
        tensors = {"event_types": [["a", "a"]], "elapsed_minutes": [[0, 0]]}
    tensors[tensor] = [[tensors[tensor][0][0], element]]

    refusal = _refusal(model, **tensors)

    assert isinstance(refusal, WrongElementError)
    assert (refusal.tensor, refusal.element) == (tensor, element)
    assert refusal.details[0].pointer == f"/{tensor}/0/1"


ids = st.one_of(st.integers(-1, SIZE), st.sampled_from([0, 2, 2**63, -(2**64)]))
minutes = st.one_of(
    st.floats(0, 10).map(round),
    st.sampled_from([0.0, 99_999.0, 100_001.0, 1e9, 1.1e9, float("nan"), float("inf"), -1.0]),
)


@given(st.lists(st.lists(st.tuples(ids, minutes), max_size=14), min_size=1, max_size=4), st.booleans())
def test_exactly_the_rows_that_break_a_rule_are_refused(
    model: LiveModel, between: LiveModel, cells: list[list[tuple[int, float]]], scores_between_events: bool
) -> None:
    """What decides over all rows at once agrees with what looks at each cell."""
    model = between if scores_between_events else model
    rules = Rules.of(SETTINGS, model.manifest)
    event_ids = [[event_id for event_id, _ in row] for row in cells]
    elapsed = [[minute for _, minute in row] for row in cells]

    def is_at_fault(row: int) -> bool:
        try:
            check_row("event_ids", event_ids[row], elapsed[row], SIZE, rules)
        except BrokenRuleError:
            return True
        return False

    try:
        read_tensors(Tensors(event_ids=event_ids, elapsed_minutes=elapsed), model, SETTINGS)
        named: list[int] = []
    except InvalidTensorsError as refusal:
        named = [int(fault.pointer.split("/")[2]) for fault in refusal.details]

    assert named == [row for row in range(len(cells)) if is_at_fault(row)]


def test_limits_are_those_of_the_settings(model: LiveModel) -> None:
    narrow = Settings(max_sequences=1, max_sequence_events=1)

    assert "at most 1 sequences" in _refusal(model, narrow, event_ids=[[2], [2]], elapsed_minutes=[[0], [0]]).message
    assert "at most 1 events" in _refusal(model, narrow, event_ids=[[2, 2]], elapsed_minutes=[[0, 0]]).message
