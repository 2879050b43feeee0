"""Requests and answers in TensorFlow Serving's JSON, for the documentation and for what is written from them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from models.manifest import Manifest
from service.predict_request import SIGNATURE
from service.schemas import ModelVersionStatus
from service.tensor_examples import PREDICT_REQUESTS

_DTYPES = {"event_ids": "DT_INT32", "elapsed_minutes": "DT_FLOAT"}
_DTYPES_OF_FURTHER = {"int32": "DT_INT32", "float32": "DT_FLOAT"}

Ids = Annotated[list[int], Field(description="Oldest event first; 0 on the right is padding.")]
Types = Annotated[list[str | int], Field(description="Instead of `event_ids`; the model's vocabulary encodes them.")]
Minutes = Annotated[list[float], Field(description="Minutes from each event to the scoring moment.")]


class Instance(BaseModel):
    """One history: `elapsed_minutes`, either `event_ids` or `event_types`, and the model's further inputs by name."""

    model_config = ConfigDict(extra="allow")

    event_ids: Ids = []
    event_types: Types = []
    elapsed_minutes: Minutes


class Columns(BaseModel):
    """Tensors of histories: `elapsed_minutes`, either `event_ids` or `event_types`, and the model's further inputs.

    Rows may be ragged.
    """

    model_config = ConfigDict(extra="allow")

    event_ids: list[Ids] = []
    event_types: list[Types] = []
    elapsed_minutes: list[Minutes]


class PredictBody(BaseModel):
    """Histories by row (`instances`) or by column (`inputs`)."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREDICT_REQUESTS["by row"]]})

    signature_name: Literal["serving_default"] = "serving_default"
    instances: list[Instance] = []
    inputs: Columns | None = None


class Prediction(BaseModel):
    """The answer for one instance."""

    risk: float
    auxiliary_risk: float


class PredictionsAnswer(BaseModel):
    """The answer by row, in request order."""

    predictions: list[Prediction]


class Outputs(BaseModel):
    """Both outputs, a value a row."""

    risk: list[float]
    auxiliary_risk: list[float]


class OutputsAnswer(BaseModel):
    """The answer by column."""

    outputs: Outputs


class StatusOfVersionsAnswer(BaseModel):
    """Whether versions are loaded."""

    model_version_status: list[ModelVersionStatus]


class MetadataAnswer(BaseModel):
    """The signature of a version."""

    model_spec: dict[str, str]
    metadata: dict[str, Any]

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The signature of a version."""
        signature = {
            "inputs": {name: _tensor(dtype, 2, f"{SIGNATURE}_{name}:0") for name, dtype in _DTYPES.items()}
            | {
                one.name: _tensor(
                    _DTYPES_OF_FURTHER[one.dtype], 2 if one.per == "event" else 1, f"{SIGNATURE}_{one.name}:0"
                )
                for one in manifest.further_inputs
            },
            "outputs": {
                name: _tensor("DT_FLOAT", 1, f"StatefulPartitionedCall:{place}")
                for place, name in enumerate(("auxiliary_risk", "risk"))
            },
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }
        return cls(
            model_spec={"name": manifest.name, "signature_name": "", "version": str(manifest.version)},
            metadata={"signature_def": {"signature_def": {SIGNATURE: signature}}},
        )


def _tensor(dtype: str, rank: int, name: str) -> dict[str, Any]:
    shape = {"dim": [{"size": "-1", "name": ""}] * rank, "unknown_rank": False}
    return {"dtype": dtype, "tensor_shape": shape, "name": name}
