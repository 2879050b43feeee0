import pytest
from pydantic import ValidationError

from training.data_config import DataConfig, SplitConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_horizon_minutes": 60}, "a label_time_column beside label_horizon_minutes"),
        ({"time_origin": "sequence"}, "a time_unit such as"),
        ({"time_unit": "hours", "time_origin": "sequence"}, "expected a split_column"),
        (
            {"time_unit": "hours", "time_origin": "sequence", "split_column": "s", "label_time_column": "t"},
            "no label_time_column",
        ),
        ({"type_column": "label"}, "4 different columns"),
        ({"further_label_columns": ("label",)}, "5 different columns"),
        (
            {"further_label_columns": ("a",), "label_time_column": "t"},
            "no further_label_columns beside a label_time_col",
        ),
    ],
)
def test_columns_that_cannot_go_together_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig.model_validate({"path": "log.csv", **options})


def test_columns_are_read_where_they_are_configured() -> None:
    config = DataConfig(path="log.csv", split_column="part", label_time_column="decided_at")

    assert config.columns == ("sequence_id", "event_type", "timestamp", "label", "decided_at", "part")


def test_a_split_leaves_data_to_fit_on() -> None:
    with pytest.raises(ValidationError, match="leave data to fit on"):
        SplitConfig(validation_share=0.5, calibration_share=0.4)
