import json
from pathlib import Path

import numpy as np
import pytest

from models.repository import Repository
from models.sequences import Vocabulary, encode
from service.batcher import Scores
from service.open_inference_answer import HEADER_LENGTH, answer_id, write_answer
from service.open_inference_outputs import WantedOutput
from service.open_inference_request import InferenceRequest
from service.pair import Part
from service.tensors import Tensors

SCORES = Scores(np.array([0.1, 1 / 3], np.float32), np.array([0.0, 1.0], np.float32))
TENSORS = Tensors(event_ids=[[2], [3]], elapsed_minutes=[[0], [0]])


@pytest.fixture
def part(repository: Path) -> Part:
    manifest = Repository(repository).open("tiny").manifest
    batch = encode([["New/P3"], ["7"]], [[0], [0]], Vocabulary(manifest.vocabulary), manifest.max_events)
    return Part(manifest, range(2), batch, SCORES)


def asked(*outputs: tuple[str, bool], request_id: str | None = "INC1") -> InferenceRequest:
    return InferenceRequest(request_id, TENSORS, tuple(WantedOutput(*output) for output in outputs), None)


def test_json_holds_every_digit_of_a_risk(part: Part) -> None:
    response = write_answer(asked(("risk", False)), part)

    answer = json.loads(bytes(response.body))
    assert HEADER_LENGTH not in response.headers
    assert response.headers["content-type"] == "application/json"
    assert answer.keys() == {"model_name", "model_version", "id", "outputs"}
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("tiny", "1", "INC1")
    (output,) = answer["outputs"]
    assert output.keys() == {"name", "shape", "datatype", "data"}
    np.testing.assert_array_equal(np.array(output["data"], np.float32), SCORES.risk)


def test_outputs_in_binary_follow_the_json_in_order(part: Part) -> None:
    response = write_answer(asked(("auxiliary_risk", True), ("risk", True)), part)

    num_json_bytes = int(response.headers[HEADER_LENGTH])
    assert response.headers["content-type"] == "application/octet-stream"
    described = json.loads(bytes(response.body[:num_json_bytes]))["outputs"]
    assert [output["name"] for output in described] == ["auxiliary_risk", "risk"]
    assert all(output["parameters"] == {"binary_data_size": 8} and "data" not in output for output in described)
    np.testing.assert_array_equal(
        np.frombuffer(response.body[num_json_bytes:], "<f4"), np.concatenate([SCORES.auxiliary_risk, SCORES.risk])
    )


def test_one_answer_may_hold_both_forms(part: Part) -> None:
    response = write_answer(asked(("risk", True), ("auxiliary_risk", False)), part)

    num_json_bytes = int(response.headers[HEADER_LENGTH])
    first, second = json.loads(bytes(response.body[:num_json_bytes]))["outputs"]
    assert "data" not in first
    assert second["data"] == [0.0, 1.0]
    assert response.body[num_json_bytes:] == SCORES.risk.tobytes()


def test_a_request_without_an_id_is_given_one() -> None:
    first, second = (answer_id(asked(("risk", False), request_id=None)) for _ in range(2))

    assert first
    assert second
    assert first != second
