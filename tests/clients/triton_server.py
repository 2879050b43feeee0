"""A real Triton with the same artifact behind its Python callable; runs in Triton's own environment (`prove_triton`).

It does not batch, so its tensors have the artifact's own shapes: (batch, time) in, (batch,) out.
"""

import os

import numpy as np
from model import Model  # type: ignore[import-not-found]  # lies beside those of the benchmarks' peers
from numpy.typing import NDArray
from pytriton.model_config import ModelConfig, Tensor  # type: ignore[import-not-found]
from pytriton.proxy.types import Request  # type: ignore[import-not-found]
from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig  # type: ignore[import-not-found]

if __name__ == "__main__":
    model = Model()

    def score(
        elapsed_minutes: NDArray[np.float32],
        event_ids: NDArray[np.int32] | None = None,
        event_types: NDArray[np.object_] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Risk and auxiliary risk (batch,) of event ids or event types, and minutes, each (batch, time)."""
        if event_types is not None:
            event_ids = np.array(
                [
                    [0 if kind == b"" else model.vocabulary.ids([kind.decode()])[0] for kind in row]
                    for row in event_types
                ],
                np.int32,
            )
        risk, auxiliary_risk = model.run(event_ids, elapsed_minutes)
        return {"risk": risk, "auxiliary_risk": auxiliary_risk}

    def infer(requests: list[Request]) -> list[dict[str, NDArray[np.float32]]]:
        """Each request alone."""
        return [score(**request.data) for request in requests]

    port = int(os.environ["PORT"])
    config = TritonConfig(
        http_port=port, grpc_port=port + 1, metrics_port=port + 2, http_address="127.0.0.1", log_verbose=0
    )
    # Nothing needs a token, as in Triton without PyTriton.
    with Triton(config=config, security_config=TritonSecurityConfig(restricted_endpoints=[])) as triton:
        triton.bind(
            model_name=os.environ["MODEL"],
            infer_func=infer,
            inputs=[
                Tensor(name="event_ids", dtype=np.int32, shape=(-1, -1), optional=True),
                Tensor(name="event_types", dtype=bytes, shape=(-1, -1), optional=True),
                Tensor(name="elapsed_minutes", dtype=np.float32, shape=(-1, -1)),
            ],
            outputs=[
                Tensor(name="risk", dtype=np.float32, shape=(-1,)),
                Tensor(name="auxiliary_risk", dtype=np.float32, shape=(-1,)),
            ],
            config=ModelConfig(batching=False),
        )
        triton.serve()
