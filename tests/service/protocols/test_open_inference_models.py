"""Health, metadata and Triton's extensions, asked by unmodified clients and as plain HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from service.open_inference_schemas import IndexEntry, ModelConfig, ModelMetadata, ModelStatistics, ServerMetadata
from service.schemas import ErrorAnswer
from tests.service.conftest import Service, StartService


@pytest.fixture
def client_of_triton(service: Service) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(service.address().removeprefix("http://")) as client:
        yield client


def test_triton_client_finds_everything_ready(client_of_triton: triton.InferenceServerClient) -> None:
    assert client_of_triton.is_server_live()
    assert client_of_triton.is_server_ready()
    assert client_of_triton.is_model_ready("tiny")
    assert client_of_triton.is_model_ready("tiny", "1")
    assert not client_of_triton.is_model_ready("nope")
    assert not client_of_triton.is_model_ready("tiny", "99")


def test_triton_client_reads_who_answers(client_of_triton: triton.InferenceServerClient) -> None:
    server = client_of_triton.get_server_metadata()

    ServerMetadata.model_validate(server, strict=True, extra="forbid")
    assert {"binary_tensor_data", "statistics"} <= set(server["extensions"])


@pytest.mark.parametrize("version", ["", "1"])
def test_triton_client_reads_what_the_model_takes_and_gives(
    client_of_triton: triton.InferenceServerClient, version: str
) -> None:
    model = client_of_triton.get_model_metadata("tiny", version)

    ModelMetadata.model_validate(model, strict=True, extra="forbid")
    assert (model["name"], model["versions"]) == ("tiny", ["1"])
    assert [(one["name"], one["datatype"], one["shape"]) for one in model["inputs"] + model["outputs"]] == [
        ("event_ids", "INT32", [-1, -1]),
        ("elapsed_minutes", "FP32", [-1, -1]),
        ("risk", "FP32", [-1]),
        ("auxiliary_risk", "FP32", [-1]),
    ]


@pytest.mark.parametrize("version", ["", "1"])
def test_triton_client_reads_the_config(client_of_triton: triton.InferenceServerClient, version: str) -> None:
    config = client_of_triton.get_model_config("tiny", version)

    ModelConfig.model_validate(config, strict=True, extra="forbid")
    assert config["max_batch_size"] == 20
    assert [one["name"] for one in config["input"] if not one["optional"]] == ["elapsed_minutes"]


def infer(client: triton.InferenceServerClient, *ids: int) -> None:
    events = triton.InferInput("event_ids", [1, len(ids)], "INT32")
    events.set_data_from_numpy(np.array([ids], np.int32))
    minutes = triton.InferInput("elapsed_minutes", [1, len(ids)], "FP32")
    minutes.set_data_from_numpy(np.zeros((1, len(ids)), np.float32))
    client.infer("tiny", [events, minutes])


def test_statistics_count_what_was_asked(client_of_triton: triton.InferenceServerClient) -> None:
    def counted() -> dict[str, Any]:
        statistics = client_of_triton.get_inference_statistics("tiny", "1")
        ModelStatistics.model_validate(statistics, strict=True, extra="forbid")
        (version,) = statistics["model_stats"]
        assert (version["name"], version["version"]) == ("tiny", "1")
        told: dict[str, Any] = version
        return told

    before = counted()
    infer(client_of_triton, 2, 3)
    with pytest.raises(InferenceServerException):
        infer(client_of_triton, 99)
    after = counted()

    assert after["inference_count"] - before["inference_count"] == 1
    assert after["execution_count"] - before["execution_count"] == 1
    assert after["last_inference"] > 1e12
    for part in ("success", "fail", "queue", "compute_infer"):
        assert after["inference_stats"][part]["count"] - before["inference_stats"][part]["count"] == 1
        assert after["inference_stats"][part]["ns"] > before["inference_stats"][part]["ns"]


def test_statistics_of_all_models_are_those_of_the_one_that_is_served(
    client_of_triton: triton.InferenceServerClient,
) -> None:
    (version,) = client_of_triton.get_inference_statistics()["model_stats"]

    assert (version["name"], version["version"]) == ("tiny", "1")


def test_triton_client_reads_the_repository(client_of_triton: triton.InferenceServerClient) -> None:
    assert client_of_triton.get_model_repository_index() == [
        {"name": "tiny", "version": "1", "state": "READY", "reason": ""}
    ]


def test_clients_do_not_decide_what_is_loaded(client_of_triton: triton.InferenceServerClient) -> None:
    for control in (client_of_triton.load_model, client_of_triton.unload_model):
        with pytest.raises(InferenceServerException, match="repository") as refusal:
            control("tiny")
        assert refusal.value.status() == "403"


def test_health_says_what_strict_clients_read(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True, "live": True}
    assert client.get("/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}
    assert client.get("/v2").json() == client.get("/v2/").json()


@pytest.mark.parametrize("rest", ["", "/ready", "/config", "/stats"])
@pytest.mark.parametrize(
    "model", ["nope", "tiny/versions/99", "tiny/versions/x", "tiny/versions/01", "t%2Fy", "x" * 500]
)
def test_what_is_not_served_is_not_found(client: httpx.Client, model: str, rest: str) -> None:
    answer = client.get(f"/v2/models/{model}{rest}")

    ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 200), (b"{}", 200), (b'{"ready": true}', 200), (b"{", 400), (b"[]", 400), (b'{"ready": 1}', 400)],
)
def test_the_index_takes_an_empty_body_or_what_is_documented(client: httpx.Client, body: bytes, status: int) -> None:
    answer = client.post("/v2/repository/index", content=body)

    assert answer.status_code == status
    if status != 200:
        ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")


def test_a_body_too_large_for_the_index_is_told_what_the_index_takes(client: httpx.Client) -> None:
    answer = client.post("/v2/repository/index", content=b" " * 1_001)

    refusal = ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert "an object with `ready`" in refusal.error


def test_versions_are_asked_for_by_number_and_listed_by_what_they_do(shelf: Path, start_service: StartService) -> None:
    service = start_service(
        SEQRISK_REPOSITORY=str(shelf.parent),
        SEQRISK_VERSION="1",
        SEQRISK_CHALLENGER_VERSION="2",
        SEQRISK_POLL_SECONDS="0.1",
        SEQRISK_MAX_BATCH="1",
    )
    address = service.address()
    with httpx.Client(base_url=address, timeout=60) as client:
        early = client.get("/v2/health/ready")
        service.expect_output(r"(is ready)")
        while client.get("/v2/models/tiny/versions/2/ready").status_code != 200:
            pass
        body = {
            "inputs": [
                {"name": "event_ids", "shape": [1, 2], "datatype": "INT32", "data": [2, 3]},
                {"name": "elapsed_minutes", "shape": [1, 2], "datatype": "FP32", "data": [6, 0]},
            ]
        }
        anyone, first, second = (
            client.post(f"/v2/models/tiny{version}/infer", json=body).json()
            for version in ("", "/versions/1", "/versions/2")
        )
        index = client.post("/v2/repository/index").json()
        ready = client.post("/v2/repository/index", json={"ready": True}).json()
        unloaded = client.post("/v2/models/tiny/versions/3/infer", json=body)
        model = client.get("/v2/models/tiny").json()
        statistics = client.get("/v2/models/tiny/stats").json()["model_stats"]

    assert early.status_code == 503
    assert int(early.headers["retry-after"]) > 0
    assert [answer["model_version"] for answer in (anyone, first, second)] == ["1", "1", "2"]
    assert anyone["outputs"] == first["outputs"] != second["outputs"]
    assert [IndexEntry(**entry).state for entry in index] == ["READY", "READY", "UNAVAILABLE"]
    assert [entry["version"] for entry in ready] == model["versions"] == ["1", "2"]
    assert unloaded.status_code == 404
    assert [(version["version"], version["inference_count"]) for version in statistics] == [("1", 2), ("2", 1)]
