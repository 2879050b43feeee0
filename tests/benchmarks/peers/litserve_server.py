"""LitServe, batching requests for up to two milliseconds."""

import os
from typing import Any

import litserve
from model import Model

_MAX_BATCH_REQUESTS = 64


class Risk(litserve.LitAPI):
    """Scores the `sequences` of a request; requests of a batch are scored together."""

    def setup(self, device: str) -> None:
        self.model = Model()

    def decode_request(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        return list(request["sequences"])

    def batch(self, inputs: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        return inputs

    def predict(self, requests: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        scores = iter(self.model.score([sequence for sequences in requests for sequence in sequences]))
        return [[next(scores) for _ in sequences] for sequences in requests]

    def unbatch(self, output: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        return output

    def encode_response(self, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {"scores": output}


if __name__ == "__main__":
    api = Risk(max_batch_size=_MAX_BATCH_REQUESTS, batch_timeout=0.002, api_path="/v1/score")
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=30).run(
        host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="warning"
    )
