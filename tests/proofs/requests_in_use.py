"""Requests that the service takes, some of each protocol: what mutations start from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from models.manifest import Manifest
from models.sequences import Vocabulary, encode

_HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to be posted.

    Attributes:
        path: Where to.
        headers: By name.
        body: As sent.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes


def valid_requests(manifest: Manifest) -> list[Sent]:
    """Requests of every protocol for the golden examples."""
    name, examples = manifest.name, manifest.golden_examples[:2]
    event_types, minutes = [one.event_types for one in examples], [one.elapsed_minutes for one in examples]
    batch = encode(event_types, minutes, Vocabulary(manifest.vocabulary), manifest.max_events)
    ids, elapsed = batch.event_ids, batch.elapsed_minutes
    rows: list[JsonValue] = [
        {"event_ids": one.tolist(), "elapsed_minutes": two.tolist()} for one, two in zip(ids, elapsed, strict=True)
    ]
    columns: JsonValue = {"event_ids": ids.tolist(), "elapsed_minutes": elapsed.tolist()}
    infer = f"/v2/models/{name}/infer"
    return [
        _json("/v1/score", {"sequences": [_minutes(*one) for one in zip(event_types, minutes, strict=True)]}),
        _json("/v1/score", {"model": name, "sequences": [_times(manifest)]}),
        _json(f"/v1/models/{name}:predict", {"signature_name": "serving_default", "instances": rows}),
        _json(f"/v1/models/{name}:predict", {"inputs": columns}),
        _json(
            infer, {"id": "7", "inputs": [_flat("event_ids", "INT32", ids), _flat("elapsed_minutes", "FP32", elapsed)]}
        ),
        _json(infer, {"inputs": _texts(event_types[0], elapsed[:1]), "outputs": [{"name": "risk"}]}),
        _binary(infer, ids, elapsed),
        _json("/v2/repository/index", {"ready": True}),
        _json("/invocations", {"instances": rows}),
    ]


def _json(path: str, content: JsonValue) -> Sent:
    return Sent(path, {"content-type": "application/json"}, json.dumps(content).encode())


def _minutes(event_types: tuple[str | int, ...], minutes: tuple[float, ...]) -> JsonValue:
    return {"id": "INC0000468", "event_types": [*event_types], "elapsed_minutes": [*minutes]}


def _times(manifest: Manifest) -> JsonValue:
    first, second = manifest.vocabulary[:2]
    return {
        "events": [
            {"type": first, "time": "2016-03-01T01:36:00Z"},
            {"type": second, "time": "2016-03-01T10:03:00.25+01:00"},
        ],
        "as_of": None,
    }


def _flat(name: str, datatype: str, values: NDArray[np.generic]) -> dict[str, JsonValue]:
    return {"name": name, "shape": [*values.shape], "datatype": datatype, "data": values.ravel().tolist()}


def _texts(event_types: tuple[str | int, ...], elapsed: NDArray[np.float32]) -> list[JsonValue]:
    texts: list[JsonValue] = [str(one) for one in event_types]
    width = len(texts)
    return [
        {"name": "event_types", "shape": [1, width], "datatype": "BYTES", "data": texts},
        _flat("elapsed_minutes", "FP32", elapsed[:, :width]),
    ]


def _binary(path: str, ids: NDArray[np.int32], elapsed: NDArray[np.float32]) -> Sent:
    """Both tensors behind the JSON, both answers asked for in binary."""
    inputs: list[JsonValue] = [
        {
            "name": name,
            "shape": [*values.shape],
            "datatype": datatype,
            "parameters": {"binary_data_size": values.nbytes},
        }
        for name, datatype, values in (("event_ids", "INT32", ids), ("elapsed_minutes", "FP32", elapsed))
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    tensors = ids.astype("<i4").tobytes() + elapsed.astype("<f4").tobytes()
    headers = {"content-type": "application/octet-stream", _HEADER_LENGTH: str(len(head))}
    return Sent(path, headers, head + tensors)
