"""MLServer: a custom runtime behind its own adaptive batching, over tensors of the Open Inference Protocol."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from model import Model


class Risk(MLModel):
    """Scores `event_ids` and `elapsed_minutes`; requests of a batch arrive as one."""

    async def load(self) -> bool:
        self.model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensors = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        risk, auxiliary_risk = self.model.run(
            tensors["event_ids"].astype("int32"), tensors["elapsed_minutes"].astype("float32")
        )
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("risk", risk[:, None]),
                NumpyCodec.encode_output("auxiliary_risk", auxiliary_risk[:, None]),
            ],
        )
