"""What the OpenAPI document shows of our own routes: requests, and the answers the service gives, word for word.

REQUESTS    of `POST /v1/score`
ANSWERS     a route, a status -> answers, each under what happened
error       an envelope
"""

from pydantic import JsonValue

_MINUTES: JsonValue = {
    "id": "INC0000468",
    "event_types": ["Opened/Phone", "New/P3", "New/P3"],
    "elapsed_minutes": [447, 441, 0],
}
_TIMES: JsonValue = {
    "events": [
        {"type": "Opened/Phone", "time": "2016-03-01T01:36:00Z"},
        {"type": "New/P3", "time": "2016-03-01T09:03:00Z"},
    ]
}

REQUESTS: dict[str, JsonValue] = {
    "both forms": {"sequences": [_MINUTES, _TIMES]},
    "elapsed minutes": {"sequences": [_MINUTES]},
    "times": {"sequences": [_TIMES]},
}


def error(code: str, message: str, *pointers: str, detail: str | None = None) -> JsonValue:
    """An envelope; each pointer is to a fault that `detail` tells, by default the whole message."""
    details: JsonValue = [{"pointer": place, "message": detail or message} for place in pointers]
    return {"error": message, "code": code, "details": details}


_SCORES: JsonValue = {
    "model": "sla-breach",
    "version": 1,
    "scores": [
        {
            "id": "INC0000468",
            "risk": 0.36295322,
            "auxiliary_risk": 0.50861406,
            "events_used": 3,
            "events_truncated": 0,
            "unknown_events": 0,
        },
        {
            "id": None,
            "risk": 0.41275704,
            "auxiliary_risk": 0.54155982,
            "events_used": 2,
            "events_truncated": 0,
            "unknown_events": 0,
        },
    ],
}
_LOADING = error("not_ready", "Expected a verified and warm model. Received: loading. Loading has not begun.")

ANSWERS: dict[str, dict[str, dict[str, JsonValue]]] = {
    "/v1/score": {
        "200": {"scores": _SCORES},
        "400": {
            "not JSON": error(
                "malformed_json",
                "Expected JSON in UTF-8. Received: EOF while parsing a list at line 1 column 15.",
                "",
                detail="Not JSON: EOF while parsing a list at line 1 column 15.",
            ),
            "a header": error(
                "invalid_header",
                "Expected a positive number of milliseconds in X-Request-Timeout-Ms, such as 250. Received: 'soon'.",
            ),
        },
        "404": {
            "another model": error(
                "unknown_model", "Expected the model that is served here, 'sla-breach'. Received: 'other'.", "/model"
            )
        },
        "408": {
            "a slow body": error(
                "slow_body",
                "Expected a whole body before the request's deadline. Received: a part of it. "
                "Allow more time, or send less at once.",
            )
        },
        "413": {
            "a long body": error(
                "body_too_large",
                "Expected a body of at most 8000000 bytes. Received: 8000001. Split it into several requests.",
            )
        },
        "415": {
            "a compressed body": error(
                "unsupported_encoding",
                "Expected a plain body. Received: Content-Encoding br. Send it uncompressed.",
            )
        },
        "422": {
            "the schema": error("invalid_request", "Expected the field `sequences`. Received: no such field.", ""),
            "a rule of time": error(
                "invalid_request",
                "Expected elapsed minutes that never increase (oldest event first). Received: 5.0 after 3.0.",
                "/sequences/0/elapsed_minutes/1",
            ),
            "several faults": {
                "error": "The request has 2 faults. The first: Expected one elapsed time an event, so 2. Received: 1.",
                "code": "invalid_request",
                "details": [
                    {
                        "pointer": "/sequences/0/elapsed_minutes",
                        "message": "Expected one elapsed time an event, so 2. Received: 1.",
                    },
                    {
                        "pointer": "/sequences/1/events/0/time",
                        "message": "Expected a time with a zone, such as 2016-03-01T09:03:00Z or "
                        '2016-03-01T10:03:00+01:00. Received: "2016-03-01T01:36:00", which could be any of them.',
                    },
                ],
            },
        },
        "500": {
            "the model": error(
                "model_fault",
                "Expected a risk for each sequence of the request. Received: a failure of the model. "
                "The same request will fail again; another version of the model may answer.",
            ),
            "the service": error("internal_error", "The service failed over this request; its log says why."),
        },
        "503": {
            "not ready": _LOADING,
            "overloaded": error(
                "overloaded",
                "Expected requests to wait at most 0.5 s for their turn. Received: a line of others that takes longer. "
                "Try later.",
            ),
        },
        "504": {
            "the time ran out": error(
                "deadline_exceeded",
                "Expected an answer before the request's deadline. Received: none in time. "
                "Allow more time, or send fewer sequences at once.",
            )
        },
        "default": {"another method": error("wrong_method", "Expected the method POST on this path. Received: PUT.")},
    },
    "/v1/models/{name}": {
        "404": {
            "another model": error(
                "unknown_model",
                "Could not find any versions of model other",
                "",
                detail="Expected the model that is served here, 'sla-breach'. Received: 'other'.",
            )
        },
        "503": {"not known yet": error("not_ready", "Expected a model to be served. Received: Loading has not begun.")},
    },
    "/livez": {"200": {"alive": {"status": "alive"}}},
    "/readyz": {
        "200": {"ready": {"status": "ready"}},
        "503": {
            "not ready": _LOADING,
            "stopping": error("not_ready", "Expected a service that goes on. Received: stopping; ask another one."),
        },
    },
}
