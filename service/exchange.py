"""The client's half of our protocol, without input or output: what to send, when to send it again, what came back.

Exchange           one request until its answer
ScoringError       any answer other than a success, and no answer at all
score_exchanges    any number of sequences as requests the service accepts
merged             their answers as one
read               an answer as its type
"""

import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from service.errors import Fault
from service.schemas import ErrorAnswer, ScoreAnswer, SequenceBody, SequenceScore

NO_ANSWER = "no_answer"
NOT_OURS = "not_ours"

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_MOST_MILLISECONDS = 999_999_999
_PASSING_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_PASSING_FAILURES = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
_MAX_SHOWN_CHARACTERS = 200
_SCORE_ANSWER = TypeAdapter(ScoreAnswer)

_Content = TypeVar("_Content")


class ScoringError(Exception):
    """The service refused or failed, or did not answer in time.

    Args:
        message: What was expected, what was received, the way out.
        code: The service's word for it; `no_answer`; or `not_ours` for somebody else's answer, such as a proxy's.
        status: HTTP status; None without an answer.
        details: Every fault found; their pointers count the caller's sequences, whichever request carried them.
        request_id: By which the service's log knows it.
    """

    def __init__(
        self,
        message: str,
        code: str,
        status: int | None = None,
        details: tuple[Fault, ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code, status, details, request_id)
        self.message = message
        self.code = code
        self.status = status
        self.details = details
        self.request_id = request_id

    def __str__(self) -> str:
        status = "" if self.status is None else f"{self.status} "
        request = "" if self.request_id is None else f", request {self.request_id}"
        faults = "".join(f"\n  {fault.pointer or '(the whole body)'}: {fault.message}" for fault in self.details)
        return f"{self.message} ({status}{self.code}{request}){faults}"


class Exchange:
    """One request until its answer. Whoever sends it sleeps for `pause_seconds` first, and settles what came of it.

    Args:
        method: Of HTTP.
        path: Where to.
        deadline: When to give up, in seconds of `time.monotonic()`.
        body: JSON.
        start: How many of the caller's sequences lie before those of `body`.
    """

    def __init__(self, method: str, path: str, deadline: float, body: bytes | None = None, start: int = 0) -> None:
        self.answer: httpx.Response | None = None
        self.pause_seconds = 0.0
        self.start = start
        self._method = method
        self._path = path
        self._deadline = deadline
        self._body = body
        self._num_failures = 0

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """What to send now. It tells the service how long an answer is still worth something.

        Raises:
            ScoringError: It is too late.
        """
        seconds = self._deadline - monotonic()
        if seconds <= 0:
            raise ScoringError(
                "Expected every answer before the client's deadline. Received: more work than that allows. "
                "Allow more time, or send fewer sequences.",
                NO_ANSWER,
            )
        milliseconds = max(1, min(int(seconds * 1e3), _MOST_MILLISECONDS))
        headers = {"Content-Type": "application/json", "X-Request-Timeout-Ms": str(milliseconds)}
        return http.build_request(self._method, self._path, content=self._body, headers=headers, timeout=seconds)

    def settle(self, outcome: httpx.Response | httpx.RequestError) -> None:
        """Take the answer, or plan the next attempt.

        Raises:
            ScoringError: Trying again would not help, or there is no time for it.
        """
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            self.answer = outcome
            return
        self.pause_seconds = _pause_seconds(outcome, self._num_failures)
        self._num_failures += 1
        if not _is_passing(outcome) or monotonic() + self.pause_seconds >= self._deadline:
            raise self._refusal(outcome) from (outcome if isinstance(outcome, Exception) else None)

    def _refusal(self, outcome: httpx.Response | httpx.RequestError) -> ScoringError:
        if isinstance(outcome, httpx.RequestError):
            times = "one attempt" if self._num_failures == 1 else f"{self._num_failures} attempts"
            reason = str(outcome) or type(outcome).__name__
            return ScoringError(f"Expected the service to answer. Received: nothing in {times}. {reason}", NO_ANSWER)
        try:
            envelope = ErrorAnswer.model_validate_json(outcome.content)
        except ValidationError:
            return _not_ours(outcome)
        faults = tuple(Fault(self._shifted(fault.pointer), fault.message) for fault in envelope.details)
        return ScoringError(envelope.error, envelope.code, outcome.status_code, faults, _request_id(outcome))

    def _shifted(self, pointer: str) -> str:
        """A pointer into the body as one into all of the caller's sequences."""
        return re.sub(r"^/sequences/(\d+)", lambda found: f"/sequences/{int(found[1]) + self.start}", pointer)


def score_exchanges(
    sequences: Iterable[SequenceBody], model: str | None, deadline: float, max_sequences: int, max_body_bytes: int
) -> Iterator[Exchange]:
    """Requests that carry all sequences in order.

    Args:
        sequences: Any number of them; without any there is one request, whose refusal says what is wrong with that.
        model: Name of the model; None for the one that is served.
        deadline: When to give up, in seconds of `time.monotonic()`.
        max_sequences: Most in one request.
        max_body_bytes: Longest request, unless one sequence alone is longer.
    """
    head, tail = b'{"model":%s,"sequences":[' % to_json(model), b"]}"

    def exchange() -> Exchange:
        return Exchange("POST", "/v1/score", deadline, head + b",".join(texts) + tail, start)

    start, texts, num_bytes = 0, list[bytes](), len(head + tail)
    for sequence in sequences:
        # What is no number is the service's to refuse: it says where.
        text = to_json(sequence, inf_nan_mode="constants")
        if texts and (len(texts) == max_sequences or num_bytes + len(text) > max_body_bytes):
            yield exchange()
            start, texts, num_bytes = start + len(texts), [], len(head + tail)
        texts.append(text)
        num_bytes += len(text) + 1
    yield exchange()


def merged(answers: Iterable[httpx.Response]) -> ScoreAnswer:
    """All answers as one, as the service itself would tell it: if versions differ, each score names its own."""
    parts = [read(_SCORE_ANSWER, answer) for answer in answers]
    scores: list[SequenceScore] = [{"version": part["version"], **score} for part in parts for score in part["scores"]]
    if len({score["version"] for score in scores}) == 1:
        scores = [score for part in parts for score in part["scores"]]
    return {**parts[0], "scores": scores}


def read(content: TypeAdapter[_Content], answer: httpx.Response) -> _Content:
    """What an answer says.

    Raises:
        ScoringError: Something else.
    """
    try:
        return content.validate_json(answer.content)
    except ValidationError as error:
        raise _not_ours(answer) from error


def _is_passing(outcome: httpx.Response | httpx.RequestError) -> bool:
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in _PASSING_STATUSES
    return isinstance(outcome, _PASSING_FAILURES)


def _pause_seconds(outcome: httpx.Response | httpx.RequestError, num_failures: int) -> float:
    """As long as the service asks for, and longer each time, but not all clients at once."""
    asked = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(num_failures, 10))
    # Spreads clients out and guards nothing.
    return _retry_after_seconds(asked) + random.uniform(0, longest)  # noqa: S311


def _retry_after_seconds(text: str) -> float:
    """A number of seconds or a date (RFC 9110, section 10.2.3); 0 for anything else."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _not_ours(answer: httpx.Response) -> ScoringError:
    return ScoringError(
        f"Expected an answer of the service. Received: {answer.text[:_MAX_SHOWN_CHARACTERS]!r}. Is the address right?",
        NOT_OURS,
        answer.status_code,
        request_id=_request_id(answer),
    )


def _request_id(answer: httpx.Response) -> str | None:
    request_id: str | None = answer.headers.get("X-Request-Id")
    return request_id
