"""Ray Serve: one replica with dynamic batching of requests."""

import os
import time
from typing import Any

import ray
from model import Model
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=256)
class Risk:
    """Scores the `sequences` of a request; requests of a batch are scored together."""

    def __init__(self) -> None:
        self.model = Model()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.002)
    async def score(self, requests: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        scores = iter(self.model.score([sequence for sequences in requests for sequence in sequences]))
        return [[next(scores) for _ in sequences] for sequences in requests]

    async def __call__(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        return {"scores": await self.score(body["sequences"])}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(Risk.bind(), route_prefix="/v1/score")
    while True:
        time.sleep(60)
