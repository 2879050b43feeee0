"""An answer of the Open Inference Protocol, as bytes: JSON, and after it the outputs asked for in binary."""

from uuid import uuid4

import numpy as np
from fastapi import Response
from numpy.typing import NDArray
from pydantic import JsonValue
from pydantic_core import to_json

from service.batcher import Scores
from service.open_inference_request import InferenceRequest
from service.pair import Part

DATATYPE = "FP32"

HEADER_LENGTH = "Inference-Header-Content-Length"


def write_answer(asked: InferenceRequest, part: Part) -> Response:
    """The answer: what was asked for, in that order, as bytes where the client wants them."""
    described: list[JsonValue] = []
    tensors: list[bytes] = []
    for output in asked.outputs:
        risks = risks_of(part.scores, output.name)
        head: dict[str, JsonValue] = {"name": output.name, "shape": [len(risks)], "datatype": DATATYPE}
        if output.is_binary:
            tensors.append(risks.astype("<f4").tobytes())
            described.append({**head, "parameters": {"binary_data_size": len(tensors[-1])}})
        else:
            # Every digit, so that both forms hold the same float32.
            described.append({**head, "data": risks.tolist()})
    text = to_json(
        {
            "model_name": part.manifest.name,
            "model_version": str(part.manifest.version),
            "id": answer_id(asked),
            "outputs": described,
        }
    )
    if not tensors:
        return Response(text, media_type="application/json")
    return Response(
        b"".join([text, *tensors]), headers={HEADER_LENGTH: str(len(text))}, media_type="application/octet-stream"
    )


def answer_id(asked: InferenceRequest) -> str:
    """The request's own id; where it has none, a new one, because strict clients expect some."""
    return asked.id or uuid4().hex


def risks_of(scores: Scores, output: str) -> NDArray[np.float32]:
    """The values of one output, float32 (batch,)."""
    return scores.risk if output == "risk" else scores.auxiliary_risk
