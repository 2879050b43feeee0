"""That the service really answers so is shown by test_openapi.py; here, that they are what they claim to be."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter

from service.examples import ANSWERS, REQUESTS
from service.histories import Rules
from service.schemas import ErrorAnswer, ScoreAnswer
from service.score_request import read_score_request

RULES = Rules(
    max_sequence_events=10,
    max_clock_skew_seconds=0,
    max_events=10,
    max_elapsed_minutes=1e6,
    scores_between_events=False,
)
REFUSALS = [
    pytest.param(answer, id=f"{route} {status} {what}")
    for route, statuses in ANSWERS.items()
    for status, answers in statuses.items()
    for what, answer in answers.items()
    if not status.startswith("2")
]


@pytest.mark.parametrize("name", REQUESTS)
def test_an_example_request_breaks_no_rule(name: str) -> None:
    histories = read_score_request(json.dumps(REQUESTS[name]).encode(), RULES, 10, datetime.now(UTC))

    assert all(minutes[-1] == 0 for minutes in histories.elapsed_minutes)


def test_the_example_scores_are_an_answer_to_the_first_request() -> None:
    answer = TypeAdapter(ScoreAnswer).validate_python(ANSWERS["/v1/score"]["200"]["scores"])

    assert len(answer["scores"]) == len(REQUESTS["both forms"]["sequences"])  # type: ignore[call-overload, index, arg-type]


@pytest.mark.parametrize("answer", REFUSALS)
def test_an_example_refusal_is_an_envelope_that_says_what_was_received(answer: object) -> None:
    envelope = ErrorAnswer.model_validate(answer)

    assert envelope.error
    assert all(fault.message for fault in envelope.details)
