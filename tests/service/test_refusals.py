import json

import pytest
from starlette.routing import Route

from service.errors import Fault, InvalidRequestError, OverloadedError, SlowBodyError
from service.key_errors import MissingKeyError
from service.metrics import Metrics
from service.refusals import OTHER_ROUTE, Refusals, route_template


async def _endpoint() -> None:
    pass


ROUTE = Route("/v1/models/{name}", _endpoint)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_an_error_becomes_the_envelope_and_is_counted(metrics: Metrics) -> None:
    error = InvalidRequestError("Expected less.", (Fault("/sequences/0", "Expected less."),))

    answer = Refusals(metrics).answer({"route": ROUTE}, error)

    assert answer.status_code == 422
    assert json.loads(bytes(answer.body)) == {
        "error": "Expected less.",
        "code": "invalid_request",
        "details": [{"pointer": "/sequences/0", "message": "Expected less."}],
    }
    labels = {"route": "/v1/models/{name}", "code": "invalid_request"}
    assert metrics.registry.get_sample_value("seqrisk_rejects_total", labels) == 1


def test_an_error_that_passes_says_when_to_try_again(metrics: Metrics) -> None:
    assert int(Refusals(metrics).answer({}, OverloadedError("Full.", "turn")).headers["retry-after"]) > 0


def test_overload_is_counted_by_what_there_was_too_much_of(metrics: Metrics) -> None:
    Refusals(metrics).answer({}, OverloadedError("Full.", "waiting_bytes"))

    assert metrics.registry.get_sample_value("seqrisk_overloads_total", {"reason": "waiting_bytes"}) == 1


def test_an_error_that_leaves_a_body_behind_ends_the_connection(metrics: Metrics) -> None:
    assert Refusals(metrics).answer({}, SlowBodyError("Slow.")).headers["connection"] == "close"


def test_an_error_about_a_key_says_how_to_present_one(metrics: Metrics) -> None:
    assert Refusals(metrics).answer({}, MissingKeyError("No key.")).headers["www-authenticate"].startswith("Bearer ")


def test_headers_of_the_framework_are_kept(metrics: Metrics) -> None:
    assert Refusals(metrics).answer({}, OverloadedError("Full.", "turn"), {"Allow": "GET"}).headers["allow"] == "GET"


def test_what_matched_no_route_has_one_name() -> None:
    assert route_template({"path": "/anything"}) == OTHER_ROUTE
