"""Triton through PyTriton: its own HTTP server and dynamic batcher in front of a Python callable."""

import os

import numpy as np
from model import Model
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

if __name__ == "__main__":
    model = Model()

    @batch
    def infer(event_ids: np.ndarray, elapsed_minutes: np.ndarray) -> list[np.ndarray]:
        """Both (batch, time) -> risk and auxiliary risk (batch, 1)."""
        return [column[:, None] for column in model.run(event_ids, elapsed_minutes)]

    port = int(os.environ["PORT"])
    config = TritonConfig(
        http_port=port, grpc_port=port + 1, metrics_port=port + 2, http_address="127.0.0.1", log_verbose=0
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="risk",
            infer_func=infer,
            inputs=[
                Tensor(name="event_ids", dtype=np.int32, shape=(-1,)),
                Tensor(name="elapsed_minutes", dtype=np.float32, shape=(-1,)),
            ],
            outputs=[
                Tensor(name="risk", dtype=np.float32, shape=(1,)),
                Tensor(name="auxiliary_risk", dtype=np.float32, shape=(1,)),
            ],
            config=ModelConfig(max_batch_size=256, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        )
        triton.serve()
