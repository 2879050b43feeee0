import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service import faults
from service.errors import InvalidRequestError, MalformedJsonError
from service.faults import MAX_DETAILS
from service.histories import Rules
from service.score_request import Histories, read_score_request

NOW = datetime(2020, 1, 1, tzinfo=UTC)
RULES = Rules(
    max_sequence_events=100,
    max_clock_skew_seconds=300,
    max_events=8,
    max_elapsed_minutes=10_000,
    scores_between_events=False,
)
SOUND: dict[str, Any] = {"event_types": ["a"], "elapsed_minutes": [0]}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
documents = st.recursive(
    scalars | st.sampled_from(["a", "2016-03-01T09:03:00Z", 0, 1.5, -1]),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["model", "sequences", "id", "event_types", "elapsed_minutes", "events", "as_of", "type", "time", "x/~"]
            ),
            children,
            max_size=5,
        )
    ),
    max_leaves=30,
)


def _read(document: object, max_sequences: int = 10) -> Histories:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_score_request(body, RULES, max_sequences, NOW)


def _pointers(document: object) -> list[str]:
    with pytest.raises(InvalidRequestError) as raised:
        _read(document)
    return [fault.pointer for fault in raised.value.details]


def test_sequences_keep_their_order_and_ids() -> None:
    histories = _read({"model": "m", "sequences": [{"id": "x", **SOUND}, {"event_types": [7], "elapsed_minutes": [0]}]})

    assert histories == Histories("m", ["x", None], [["a"], [7]], [[0.0], [0.0]])


def test_one_answer_names_every_sequence_at_fault() -> None:
    wrong_type, increasing, unknown = (
        {"event_types": ["a", True], "elapsed_minutes": [1, 0]},
        {"event_types": ["a", "b"], "elapsed_minutes": [1, 2]},
        {"events": [], "x/y~z": 1},
    )

    assert _pointers({"sequences": [SOUND, wrong_type, increasing, unknown, SOUND, 3]}) == [
        "/sequences/1/event_types/1",
        "/sequences/3/events",
        "/sequences/5",
        "/sequences/2/elapsed_minutes/1",
    ]


def test_a_name_with_slashes_is_escaped() -> None:
    assert _pointers({"sequences": [{**SOUND, "x/y~z": 1}]}) == ["/sequences/0/x~1y~0z"]


@pytest.mark.parametrize("document", [{"sequences": [SOUND], "~" * 9_999: 1}, {"sequences": [{"~" * 9_999: 1}]}])
def test_a_name_as_long_as_a_body_is_not_repeated(document: object) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        _read(document)

    (fault,) = refused.value.details
    assert len(fault.pointer) + len(fault.message) < 500


def test_thousands_of_faults_are_refused_without_listing_them() -> None:
    with pytest.raises(InvalidRequestError, match="faults") as raised:
        _read(b'{"sequences":[' + b",".join([b"1"] * 50_000) + b"]}", max_sequences=100_000)
    assert len(raised.value.details) == 1


def test_a_million_sequences_are_refused_unread() -> None:
    assert set(_pointers(b'{"sequences":[' + b",".join([b"1"] * 1_000_000) + b"]}")) == {"/sequences"}


def test_more_sequences_than_allowed_are_refused() -> None:
    assert _pointers({"sequences": [SOUND] * 11}) == ["/sequences"]
    assert len(_read({"sequences": [SOUND] * 10}).ids) == 10


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{'a': 1}", b"[" * 1000, b'{"sequences": []} x', b'"\\ud800"'])
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedJsonError):
        _read(body)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(documents)
def test_no_document_is_more_than_refused(document: object) -> None:
    for candidate in (document, {"sequences": [document]}, {"sequences": [SOUND, document, 3]}):
        with suppress(MalformedJsonError, InvalidRequestError):
            _read(candidate)


@given(st.binary(max_size=50))
def test_no_bytes_are_more_than_refused(body: bytes) -> None:
    with pytest.raises((MalformedJsonError, InvalidRequestError)):
        _read(body)


def test_what_was_meant_is_looked_for_only_where_the_answer_has_room_to_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a fraction of a millisecond, on the event loop, and each of a thousand sequences may need it."""
    looked_for: list[str] = []

    def look(name: str, known: Iterable[str], n: int) -> list[str]:
        looked_for.append(name)
        return get_close_matches(name, [*known], n)

    monkeypatch.setattr(faults, "get_close_matches", look)
    sequences = [{"event_types": ["a"], "elapsed_minutes": [0], f"as_off{k}": None} for k in range(100)]

    with pytest.raises(InvalidRequestError, match="100 faults, the first 20") as refusal:
        read_score_request(json.dumps({"sequences": sequences}).encode(), RULES, 100, NOW)

    assert len(looked_for) == MAX_DETAILS
    assert "Did you mean `as_of`?" in refusal.value.details[-1].message
