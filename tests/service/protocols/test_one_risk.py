"""One history through every protocol, in every form each of them has: one risk, to 1e-6."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc

from models.sequences import Vocabulary
from service.client import Client
from tests.service.conftest import VOCABULARY, StartService
from tests.service.protocols.grpc_services import grpc_address

TOLERANCE = 1e-6
HEALTH = "/v1/endpoints/11/deployedModels/22"
PREDICT, INFER = "/v1/models/tiny:predict", "/v2/models/tiny/infer"

TYPES, MINUTES = ["Opened/Phone", "New/P3", "never seen", "7"], [447.5, 6.25, 6.25, 0.0]
IDS = Vocabulary(VOCABULARY).ids(TYPES)
TIMES = ["2016-03-01T01:32:30Z", "2016-03-01T08:53:45Z", "2016-03-01T09:53:45+01:00", "2016-03-01T09:00:00Z"]
# On the right, beside any minutes.
PADDED: dict[str, list[Any]] = {
    "event_ids": [*IDS, 0, 0, 0],
    "event_types": [*TYPES, "", "", ""],
    "elapsed_minutes": [*MINUTES, 0.0, 1e30, 5.0],
}
ROW: dict[str, list[Any]] = {"event_ids": IDS, "event_types": TYPES, "elapsed_minutes": MINUTES}
# A neighbour in the same batch, longer than this history.
COMPANY = {"event_types": ["7"] * 8, "elapsed_minutes": [9.0] * 7 + [0.0]}
DATATYPES = {"event_ids": "INT32", "event_types": "BYTES", "elapsed_minutes": "FP32"}
CONTENTS = {"event_ids": "int_contents", "event_types": "bytes_contents", "elapsed_minutes": "fp32_contents"}

Risks = tuple[float, float]
Way = Callable[[], Risks]


def _own(answer: Any, place: int = 0) -> Risks:  # noqa: ANN401  JSON
    score = answer["scores"][place]
    return score["risk"], score["auxiliary_risk"]


def _predicted(answer: Any) -> Risks:  # noqa: ANN401  JSON
    if "predictions" in answer:
        return answer["predictions"][0]["risk"], answer["predictions"][0]["auxiliary_risk"]
    return answer["outputs"]["risk"][0], answer["outputs"]["auxiliary_risk"][0]


def _inferred(answer: Any) -> Risks:  # noqa: ANN401  JSON
    found = {output["name"]: output["data"][0] for output in answer["outputs"]}
    return found["risk"], found["auxiliary_risk"]


def _tensors(row: dict[str, list[Any]], events: str, *, is_nested: bool) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": name,
                "shape": [1, len(row[name])],
                "datatype": DATATYPES[name],
                "data": [row[name]] if is_nested else row[name],
            }
            for name in (events, "elapsed_minutes")
        ]
    }


def _triton_inputs(kind: Any, row: dict[str, list[Any]], events: str, **how: bool) -> list[Any]:  # noqa: ANN401
    """Inputs for either of Triton's clients."""
    dtypes = {"event_ids": np.int32, "event_types": np.object_, "elapsed_minutes": np.float32}
    inputs = []
    for name in (events, "elapsed_minutes"):
        inputs.append(kind(name, [1, len(row[name])], DATATYPES[name]))
        inputs[-1].set_data_from_numpy(np.array([row[name]], dtypes[name]), **how)
    return inputs


def _message(row: dict[str, list[Any]], events: str) -> service_pb2.ModelInferRequest:
    """Typed contents, which Triton's client never sends."""
    request = service_pb2.ModelInferRequest(model_name="tiny")
    for name in (events, "elapsed_minutes"):
        tensor = request.inputs.add(name=name, datatype=DATATYPES[name], shape=[1, len(row[name])])
        elements = [element.encode() if isinstance(element, str) else element for element in row[name]]
        getattr(tensor.contents, CONTENTS[name]).extend(elements)
    return request


def _ways(url: str, grpc_url: str, stack: ExitStack) -> Iterator[tuple[str, Way]]:
    http = stack.enter_context(httpx.Client(base_url=url, timeout=60))
    own = stack.enter_context(Client(url))
    triton = stack.enter_context(tritonclient.http.InferenceServerClient(url.removeprefix("http://")))
    triton_grpc = stack.enter_context(tritonclient.grpc.InferenceServerClient(grpc_url))
    stub = service_pb2_grpc.GRPCInferenceServiceStub(stack.enter_context(grpc.insecure_channel(grpc_url)))

    def post(path: str, body: Any, read: Callable[[Any], Risks]) -> Way:  # noqa: ANN401  JSON
        return lambda: read(http.post(path, json=body).raise_for_status().json())

    def infer(client: Any, inputs: list[Any], **options: str | None) -> Risks:  # noqa: ANN401  either of Triton's
        result = client.infer("tiny", inputs, **options)
        return float(result.as_numpy("risk")[0]), float(result.as_numpy("auxiliary_risk")[0])

    def ask_typed(request: service_pb2.ModelInferRequest) -> Risks:
        risk, auxiliary_risk = (output.contents.fp32_contents[0] for output in stub.ModelInfer(request).outputs)
        return risk, auxiliary_risk

    minutes_form: Any = {"event_types": TYPES, "elapsed_minutes": MINUTES}
    times_form: Any = {"events": [{"type": kind, "time": time} for kind, time in zip(TYPES, TIMES, strict=True)]}
    yield "our own, elapsed minutes", post("/v1/score", {"sequences": [minutes_form]}, _own)
    yield "our own, times", post("/v1/score", {"sequences": [times_form]}, _own)
    crowd = {"sequences": [COMPANY, minutes_form, COMPANY]}
    yield "our own, in company", post("/v1/score", crowd, lambda answer: _own(answer, 1))
    yield "our own client", lambda: _own(own.score([times_form]))

    for events in ("event_ids", "event_types"):
        for form, row in (("exact", ROW), ("padded", PADDED)):
            instance = {name: row[name] for name in (events, "elapsed_minutes")}
            rows, columns = {"instances": [instance]}, {"inputs": {name: [instance[name]] for name in instance}}
            clouds = {"TensorFlow Serving": PREDICT, "Vertex AI": f"{HEALTH}:predict", "SageMaker": "/invocations"}
            for protocol, path in clouds.items():
                yield f"{protocol}, {events} {form}, by row", post(path, rows, _predicted)
                yield f"{protocol}, {events} {form}, by column", post(path, columns, _predicted)
            for is_nested in (False, True):
                name = f"Open Inference Protocol, {events} {form}, {'nested' if is_nested else 'flat'} JSON"
                yield name, post(INFER, _tensors(row, events, is_nested=is_nested), _inferred)
            for is_binary in (False, True):
                inputs = _triton_inputs(tritonclient.http.InferInput, row, events, binary_data=is_binary)
                for packed in (None, "gzip", "deflate"):
                    name = f"Triton's client, {events} {form}, {'binary' if is_binary else 'JSON'}, {packed}"
                    yield name, partial(infer, triton, inputs, request_compression_algorithm=packed)
            raw = _triton_inputs(tritonclient.grpc.InferInput, row, events)
            yield f"gRPC, {events} {form}, raw", partial(infer, triton_grpc, raw)
            yield f"gRPC, {events} {form}, typed", partial(ask_typed, _message(row, events))

    in_base64 = {"event_types": [{"b64": b64encode(kind.encode()).decode()} for kind in TYPES]}
    encoded = {"instances": [{**in_base64, "elapsed_minutes": MINUTES}]}
    yield "TensorFlow Serving, event types in base64", post(PREDICT, encoded, _predicted)
    packed_body = gzip.compress(json.dumps(encoded).encode())
    yield (
        "TensorFlow Serving, compressed",
        lambda: _predicted(http.post(PREDICT, content=packed_body, headers={"Content-Encoding": "gzip"}).json()),
    )


def test_one_history_has_one_risk_on_every_way(repository: Path, start_service: StartService) -> None:
    service = start_service(
        SEQRISK_REPOSITORY=str(repository),
        SEQRISK_GRPC_PORT="0",
        AIP_HTTP_PORT="0",
        AIP_HEALTH_ROUTE=HEALTH,
        AIP_PREDICT_ROUTE=f"{HEALTH}:predict",
        AIP_MODE="PREDICTION",
    )
    service.expect_output(r"(is ready)")
    # Where a cloud says which port, it calls from outside.
    assert service.address().startswith("http://0.0.0.0:")
    url, grpc_url = (address.replace("0.0.0.0", "127.0.0.1") for address in (service.address(), grpc_address(service)))
    with ExitStack() as stack:
        ways = dict(_ways(url, grpc_url, stack))
        assert httpx.get(f"{url}{HEALTH}", timeout=60).status_code == 200
        expected = ways["our own, elapsed minutes"]()
        other = httpx.post(f"{url}/v1/score", json={"sequences": [COMPANY]}, timeout=60).json()

        found = {name: ask() for name, ask in ways.items()}

    assert len(found) == 70
    # Else any constant would do.
    assert abs(_own(other)[0] - expected[0]) > 100 * TOLERANCE
    for name, risks in found.items():
        assert risks == pytest.approx(expected, abs=TOLERANCE), name
