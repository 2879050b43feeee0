"""BentoML with adaptive batching over sequences."""

from typing import Any

import bentoml
from model import Model


@bentoml.service(name="risk", workers=1, traffic={"timeout": 30})
class Risk:
    """Scores a list of sequences; the lists of several requests are scored together."""

    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api(route="/v1/score", batchable=True, max_batch_size=256, max_latency_ms=1000)
    def score(self, sequences: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.model.score(sequences)
