"""The OpenAPI document: what FastAPI cannot know, because routes read headers and bytes themselves."""

from typing import Any

from fastapi import FastAPI
from pydantic import JsonValue

from service.access import MOST_MILLISECONDS
from service.examples import ANSWERS, REQUESTS
from service.guard import OpenPaths
from service.schemas import SCORE_REQUEST
from service.settings import Settings
from service.tensor_examples import INFER_REQUESTS, PREDICT_REQUESTS, tensor_answers

_JSON = "application/json"
_SCHEMAS = "#/components/schemas/{model}"
# By the name of their schema.
_REQUESTS = {"ScoreRequest": REQUESTS, "PredictBody": PREDICT_REQUESTS, "InferRequest": INFER_REQUESTS}
_PARAMETERS: dict[str, JsonValue] = {
    "RequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "What log and answer are to call this request: 1 to 128 visible ASCII characters, or the "
        "service finds a name itself.",
        "schema": {"type": "string"},
    },
    "RequestTimeout": {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "description": "Milliseconds after which an answer is worth nothing any more; never longer than the service's "
        "own time.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_MILLISECONDS},
    },
}
_SECURITY_SCHEMES: dict[str, JsonValue] = {
    "Bearer": {"type": "http", "scheme": "bearer"},
    "Key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
# Of operations that need a key.
_REFUSALS = {
    "401": "There is no key, or one that is not known here.",
    "403": "The key is right, and may do something else.",
    "429": "The limits of the key are reached; `Retry-After` says when to try again.",
}
_CHALLENGED = {"401", "403"}
_CHALLENGE: dict[str, JsonValue] = {
    "description": "How to present a key, and what is wrong with this one.",
    "required": True,
    "schema": {"type": "string"},
}
_HEADERS: dict[str, JsonValue] = {
    "RequestId": {
        "description": "What the service's log calls this request.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "RetryAfter": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
}


def complete(app: FastAPI, settings: Settings) -> None:
    """Add to the document of `app`: headers everywhere, requests with their limits, and examples."""
    document = app.openapi()
    components = document["components"]
    components["parameters"] = _PARAMETERS
    components["headers"] = _HEADERS
    if settings.api_keys_file is not None:
        components["securitySchemes"] = _SECURITY_SCHEMES
        _add_security(document, OpenPaths(settings))
    for methods in document["paths"].values():
        for operation in methods.values():
            _add_headers(operation)
    for path, statuses in (ANSWERS | tensor_answers(settings.vertex_predict_route)).items():
        methods = document["paths"][path]
        # Vertex AI's two routes may share a path: the one that scores is meant.
        operation = methods.get("post") or methods["get"]
        for status, answers in statuses.items():
            operation["responses"][status]["content"][_JSON]["examples"] = _examples(answers)

    components["schemas"] |= _score_request(settings)
    _limit_rows(components["schemas"], settings.max_sequences)
    limits = (
        f"At most {settings.max_body_bytes} bytes, answered within {settings.request_timeout_seconds:g} s or not at "
        "all. What an operator may change, `limits` under `/v1/models` tells."
    )
    for methods in document["paths"].values():
        for operation in methods.values():
            body = operation.get("requestBody", {})
            schema = body.get("content", {}).get(_JSON, {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
            if schema in _REQUESTS:
                body["description"] = f"{body.get('description', '')} {limits}".strip()
                body["content"][_JSON]["examples"] = _examples(_REQUESTS[schema])


def _add_headers(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    names = ["RequestId", "RequestTimeout"] if "504" in responses else ["RequestId"]
    operation.setdefault("parameters", []).extend({"$ref": f"#/components/parameters/{name}"} for name in names)
    for status, response in responses.items():
        headers = {"X-Request-Id": "RequestId"} | ({"Retry-After": "RetryAfter"} if status in {"429", "503"} else {})
        references = {name: {"$ref": f"#/components/headers/{key}"} for name, key in headers.items()}
        response["headers"] = response.get("headers", {}) | references


def _add_security(document: dict[str, Any], open_paths: OpenPaths) -> None:
    document["security"] = [{scheme: []} for scheme in _SECURITY_SCHEMES]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "get" and path in open_paths:
                operation["security"] = []
                continue
            for status, text in _REFUSALS.items():
                refusal = {
                    "description": text,
                    "content": {_JSON: {"schema": {"$ref": _SCHEMAS.format(model="ErrorAnswer")}}},
                }
                if status in _CHALLENGED:
                    refusal["headers"] = {"WWW-Authenticate": _CHALLENGE}
                # One that refuses everybody says so itself.
                operation["responses"].setdefault(status, refusal)


def _examples(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {name: {"value": value} for name, value in values.items()}


def _limit_rows(schemas: dict[str, Any], max_sequences: int) -> None:
    """Rows of tensors are sequences; how long one is, padding included, only the body limits."""
    schemas["PredictBody"]["properties"]["instances"]["maxItems"] = max_sequences
    for tensor in ("event_ids", "event_types", "elapsed_minutes"):
        schemas["Columns"]["properties"][tensor]["maxItems"] = max_sequences


def _score_request(settings: Settings) -> dict[str, Any]:
    """Schemas of the route that reads its body itself, by name, with the limits of this service."""
    schema = SCORE_REQUEST.json_schema(ref_template=_SCHEMAS)
    parts = schema.pop("$defs")
    schema["properties"]["sequences"]["maxItems"] = settings.max_sequences
    for form in ("event_types", "elapsed_minutes", "events"):
        parts["SequenceBody"]["properties"][form]["maxItems"] = settings.max_sequence_events
    return {**parts, "ScoreRequest": schema}
