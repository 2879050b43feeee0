import json

from service.open_inference_request import read_inference_request
from service.open_inference_schemas import InferRequest


def test_the_example_of_a_request_is_one() -> None:
    (example,) = InferRequest.model_json_schema()["examples"]

    request = read_inference_request(json.dumps(example).encode(), None, "sla-breach")

    assert InferRequest.model_validate(example, strict=True, extra="forbid").id == request.id == "INC0000468"
    assert request.tensors.event_types == [["Opened/Phone", "New/P3", "New/P3"]]
