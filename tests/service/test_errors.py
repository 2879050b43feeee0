import pickle
import re
from pathlib import Path

from service import errors
from service.errors import Fault, OverloadedError, ServiceError, WrongElementError
from service.key_errors import ForbiddenError, MissingKeyError, WrongKeyError

OPERATORS_PAGE = Path(errors.__file__).parent / "README.md"


def _classes(error: type[ServiceError] = ServiceError) -> list[type[ServiceError]]:
    """Every class with a code of its own."""
    below = [one for subclass in error.__subclasses__() for one in _classes(subclass)]
    return [error, *below] if "code" in vars(error) else below


def test_every_meaning_has_a_code_of_its_own() -> None:
    codes = [error.code for error in _classes()]

    assert len(set(codes)) == len(codes)


def test_only_the_service_and_the_model_are_at_fault_in_a_500() -> None:
    assert {error.code for error in _classes() if error.status == 500} == {"internal_error", "model_fault"}


def test_an_answer_says_when_to_try_again_exactly_if_trying_again_helps() -> None:
    assert {error.status for error in _classes() if error.retry_after_seconds is not None} == {429, 503}
    assert all(error.retry_after_seconds is not None for error in _classes() if error.status in {429, 503})


def test_a_key_is_asked_for_exactly_where_another_key_helps() -> None:
    assert {error for error in _classes() if error.challenge is not None} == {
        ForbiddenError,
        MissingKeyError,
        WrongKeyError,
    }


def test_the_operators_page_lists_every_code_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", OPERATORS_PAGE.read_text(), flags=re.MULTILINE)

    assert {code: int(status) for code, status in rows} == {error.code: error.status for error in _classes()}


def _below(error: type[ServiceError]) -> list[type[ServiceError]]:
    return [error, *(one for subclass in error.__subclasses__() for one in _below(subclass))]


def test_every_error_is_the_same_in_another_process() -> None:
    details = (Fault("/inputs", "Expected this. Received: that."),)
    made_of_more: dict[type[ServiceError], ServiceError] = {
        WrongElementError: WrongElementError("No.", details, "event_ids", [1.5]),
        OverloadedError: OverloadedError("No.", "turn"),
    }
    for kind in _below(ServiceError):
        error = made_of_more[kind] if kind in made_of_more else kind("No.")
        error.details = details

        received = pickle.loads(pickle.dumps(error))

        assert type(received) is kind
        assert (str(received), vars(received)) == ("No.", vars(error))
