"""What the OpenAPI document says of TensorFlow Serving's bodies, against bodies its clients send."""

import pytest
from pydantic import BaseModel, ValidationError

from service.tensorflow_serving_schemas import PredictBody

ROW = {"event_ids": [2, 3], "elapsed_minutes": [5.0, 0.0]}
COLUMNS = {"event_ids": [[2, 3]], "elapsed_minutes": [[5.0, 0.0]]}


@pytest.mark.parametrize("body", [{"instances": [ROW]}, {"inputs": COLUMNS}])
def test_rows_and_columns_are_described(body: dict[str, object]) -> None:
    assert isinstance(PredictBody.model_validate(body), BaseModel)


@pytest.mark.parametrize("body", [{"instances": [[2, 3]]}, {"instances": "no"}, {"inputs": 3}])
def test_what_is_no_tensor_is_not(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PredictBody.model_validate(body)


def test_its_own_example_is_what_it_describes() -> None:
    (example,) = PredictBody.model_json_schema()["examples"]

    assert PredictBody.model_validate(example).instances
