import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.errors import Fault, InvalidRequestError
from service.faults import MAX_DETAILS, Faults, pointer, received, structural_faults, unknown_field
from service.schemas import MAX_SEQUENCES, SCORE_REQUEST


def _follow(document: object, path: str) -> object:
    """What an RFC 6901 pointer leads to."""
    for token in path.split("/")[1:]:
        step = token.replace("~1", "/").replace("~0", "~")
        document = document[int(step)] if isinstance(document, list) else document[step]  # type: ignore[index]
    return document


@given(st.lists(st.text(max_size=5) | st.integers(0, 3), max_size=5))
def test_a_pointer_leads_back_along_its_steps(steps: list[str | int]) -> None:
    document: object = "here"
    for step in reversed(steps):
        document = {step: document} if isinstance(step, str) else [None] * step + [document]

    assert _follow(document, pointer(*steps)) == "here"


def test_no_fault_refuses_nothing() -> None:
    Faults().raise_if_any()


def test_one_fault_is_the_message() -> None:
    faults = Faults()
    faults.add(Fault("/sequences/0", "Expected this. Received: that."))

    with pytest.raises(InvalidRequestError) as raised:
        faults.raise_if_any()
    assert raised.value.message == "Expected this. Received: that."


def test_many_faults_are_listed_up_to_a_bound_and_the_rest_counted() -> None:
    faults = Faults()
    faults.extend(Fault(f"/sequences/{k}", f"fault {k}") for k in range(MAX_DETAILS + 7))

    with pytest.raises(InvalidRequestError, match=r"27 faults.* 7 more\. The first: fault 0") as raised:
        faults.raise_if_any()
    assert [fault.pointer for fault in raised.value.details] == [f"/sequences/{k}" for k in range(MAX_DETAILS)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (float("nan"), "NaN"),
        ("é", '"é"'),
        ([], "an empty array"),
        ([1], "an array"),
        ({"secret": 1}, "an object"),
    ],
)
def test_a_value_is_shown_as_json(value: object, shown: str) -> None:
    assert received(value) == shown


def test_a_long_value_is_cut() -> None:
    assert len(received("x" * 10_000)) < 100
    assert len(received(10**4000)) < 100


class _Anything(BaseModel):
    text: str = ""


# The second one is answered with braces in pydantic's own words.
@pytest.mark.parametrize("body", [b"\xff", b'{"text": 0x10}', b'{"text"', b""])
def test_what_is_no_json_is_told_in_words(body: bytes) -> None:
    with pytest.raises(ValidationError) as raised:
        _Anything.model_validate_json(body)

    (fault,) = structural_faults(raised.value.errors())
    assert fault.pointer == ""
    assert fault.message.startswith("Expected JSON in UTF-8. Received: ")


def test_a_list_that_is_too_long_is_told_its_limit_and_how_to_keep_it() -> None:
    sequence = b'{"event_types": ["a"], "elapsed_minutes": [0]}'
    with pytest.raises(ValidationError) as raised:
        SCORE_REQUEST.validate_json(b'{"sequences": [%s]}' % b",".join([sequence] * (MAX_SEQUENCES + 1)))

    (fault,) = structural_faults(raised.value.errors())
    assert fault.pointer == "/sequences"
    assert fault.message == "Expected at most 100000 elements. Received: 100001. Split them into requests."


def test_words_of_pydantic_may_hold_braces() -> None:
    found: ErrorDetails = {"type": "unknown_to_us", "loc": ("a",), "msg": "Expected one of {a}, }", "input": 1}

    assert [fault.message for fault in structural_faults([found])] == ["Expected one of {a}, }. Received: 1."]


def test_a_field_that_is_not_ours_is_pointed_at_beside_the_one_that_was_meant() -> None:
    place, message = unknown_field({"id": "1", "event_type/s": []}, ["id", "event_types"])

    assert place == "/event_type~1s"
    assert message() == (
        'Expected only the fields `id`, `event_types`. Received: "event_type/s". Did you mean `event_types`?'
    )
