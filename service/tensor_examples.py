"""What the OpenAPI document shows of the routes of tensor protocols, as `examples.py` does of our own.

PREDICT_REQUESTS, INFER_REQUESTS    to score tensors, as TensorFlow Serving and as the Open Inference Protocol
tensor_answers                      a route, a status -> answers, each under what happened
"""

from pydantic import JsonValue

from service.examples import ANSWERS, error

Answers = dict[str, dict[str, JsonValue]]

_TYPES: JsonValue = ["Opened/Phone", "New/P3", "New/P3"]
_IDS: JsonValue = [4, 3, 3]
_MINUTES: JsonValue = [447, 441, 0]

PREDICT_REQUESTS: dict[str, JsonValue] = {
    "by row": {"instances": [{"event_types": _TYPES, "elapsed_minutes": _MINUTES}]},
    "by column": {"inputs": {"event_ids": [_IDS], "elapsed_minutes": [_MINUTES]}},
}
INFER_REQUESTS: dict[str, JsonValue] = {
    "event types": {
        "id": "INC0000468",
        "inputs": [
            {"name": "event_types", "shape": [1, 3], "datatype": "BYTES", "data": _TYPES},
            {"name": "elapsed_minutes", "shape": [1, 3], "datatype": "FP32", "data": _MINUTES},
        ],
        "outputs": [{"name": "risk"}],
    },
    "a list a row": {
        "inputs": [
            {"name": "event_ids", "shape": [1, 3], "datatype": "INT32", "data": [_IDS]},
            {"name": "elapsed_minutes", "shape": [1, 3], "datatype": "FP32", "data": [_MINUTES]},
        ]
    },
}

_RISK, _AUXILIARY_RISK = 0.36295322, 0.50861406
# Every digit of the float32.
_EXACT_RISK = 0.36295321583747864
_ORDER = "Expected elapsed minutes that never increase (oldest event first). Received: 5.0 after 3.0."
_SCORE = ANSWERS["/v1/score"]
_NOT_READY: Answers = {"503": {"not ready": _SCORE["503"]["not ready"]}}

# Of all routes that score tensors, and of our own alike.
_REFUSALS: Answers = {
    **{status: _SCORE[status] for status in ("408", "413", "500", "503", "504", "default")},
    "415": {
        "another compression": error(
            "unsupported_encoding",
            "Expected Content-Encoding gzip or deflate, or a plain body. Received: 'br'. Send it uncompressed.",
        )
    },
}

_LOADED = "Expected 'sla-breach' version 1."
_BAD_PREDICT: dict[str, JsonValue] = {
    "not JSON": error(
        "malformed_json",
        "JSON Parse error: Invalid value. at offset: 14",
        "",
        detail="Expected JSON in UTF-8. Received: EOF while parsing a list at line 1 column 15",
    ),
    "neither form": error("invalid_tensors", "Missing 'inputs' or 'instances' key", ""),
    "a rule of time": error("invalid_tensors", _ORDER, "/instances/0/elapsed_minutes/1"),
}
_UNKNOWN_LABEL: dict[str, JsonValue] = {
    "another label": error("malformed_path", "Unrecognized servable version label: other", "", detail=_LOADED)
}
_PREDICT: Answers = {
    **_REFUSALS,
    "200": {
        "by row": {"predictions": [{"risk": _RISK, "auxiliary_risk": _AUXILIARY_RISK}]},
        "by column": {"outputs": {"risk": [_RISK], "auxiliary_risk": [_AUXILIARY_RISK]}},
    },
    "400": _BAD_PREDICT,
}


def _not_loaded(target: str) -> dict[str, JsonValue]:
    return {"not loaded": error("unknown_model", f"Servable not found for request: {target}", "", detail=_LOADED)}


_OF_TENSORFLOW_SERVING: dict[str, Answers] = {
    "/v1/models/{name}:predict": {**_PREDICT, "404": _not_loaded("Latest(other)")},
    "/v1/models/{name}/versions/{version}:predict": {**_PREDICT, "404": _not_loaded("Specific(sla-breach, 5)")},
    "/v1/models/{name}/labels/{label}:predict": {**_PREDICT, "400": {**_BAD_PREDICT, **_UNKNOWN_LABEL}},
    "/v1/models/{name}/metadata": {**_NOT_READY, "404": _not_loaded("Latest(other)")},
    "/v1/models/{name}/versions/{version}/metadata": {
        **_NOT_READY,
        "404": _not_loaded("Specific(sla-breach, 5)"),
        "400": {
            "no version": error(
                "malformed_path",
                "Malformed request: GET /v1/models/sla-breach/versions/other/metadata",
                "",
                detail="Expected a path of TensorFlow Serving's REST protocol, as listed at /docs.",
            )
        },
    },
    "/v1/models/{name}/labels/{label}/metadata": {**_NOT_READY, "400": _UNKNOWN_LABEL},
}

_VERSION = "Request for unknown model: 'sla-breach' version '5' is not found. Expected one that answers: 1."
_UNKNOWN: Answers = {
    "404": {
        "another model": error(
            "unknown_model", "Request for unknown model: 'other' is not found. Expected 'sla-breach'."
        )
    }
}
_UNKNOWN_VERSION: Answers = {"404": {"another version": error("unknown_model", _VERSION)}}
_INFER: Answers = {
    **_REFUSALS,
    "200": {
        "event types": {
            "model_name": "sla-breach",
            "model_version": "1",
            "id": "INC0000468",
            "outputs": [{"name": "risk", "shape": [1], "datatype": "FP32", "data": [_EXACT_RISK]}],
        }
    },
    "400": {
        "not JSON": error(
            "malformed_json",
            "Expected JSON in UTF-8. Received: EOF while parsing a list at line 1 column 15.",
            "",
            detail="EOF while parsing a list at line 1 column 15.",
        ),
        "no inputs": error("invalid_tensors", "Expected an array as `inputs`. Received: no such field.", "/inputs"),
        "a rule of time": error("invalid_tensors", _ORDER, "/elapsed_minutes/0/1"),
    },
}
_CONTROL: Answers = {
    "403": {
        "always": error(
            "model_control",
            "Expected the repository to decide which versions are loaded: publish one, and the service takes it up. "
            "Received: a request to load or unload.",
        )
    }
}
_OF_OPEN_INFERENCE: dict[str, Answers] = {
    "/v2/models/{name}/infer": {**_INFER, **_UNKNOWN},
    "/v2/models/{name}/versions/{version}/infer": {**_INFER, **_UNKNOWN_VERSION},
    "/v2/health/live": {"200": {"alive": {"live": True}}},
    "/v2/health/ready": {**_NOT_READY, "200": {"ready": {"ready": True, "live": True}}},
    "/v2/repository/models/{name}/load": _CONTROL,
    "/v2/repository/models/{name}/unload": _CONTROL,
    **{f"/v2/models/{{name}}{rest}": {**_UNKNOWN, **_NOT_READY} for rest in ("", "/ready", "/config", "/stats")},
    **{
        f"/v2/models/{{name}}/versions/{{version}}{rest}": {**_UNKNOWN_VERSION, **_NOT_READY}
        for rest in ("", "/ready", "/config", "/stats")
    },
}


def tensor_answers(vertex_predict_route: str | None) -> dict[str, Answers]:
    """Answers of every route of a tensor protocol.

    Args:
        vertex_predict_route: The path that Vertex AI chose, if it did.
    """
    clouds = {path: _PREDICT for path in ("/invocations", vertex_predict_route) if path is not None}
    return {**_OF_TENSORFLOW_SERVING, **_OF_OPEN_INFERENCE, **clouds}
