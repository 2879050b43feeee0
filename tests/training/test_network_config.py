from pathlib import Path

import pytest
from pydantic import ValidationError

from training.config import ConfigError, TrainingConfig
from training.network_config import NetworkConfig


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"aggregates_into": "input"}, 'aggregates_into = "input" needs aggregates'),
        ({"convolution_filters": 8}, "convolution_filters = 8 needs a convolution_width"),
        ({"decay_of": "c_and_h"}, 'decay_of = "c_and_h" needs a decay'),
        ({"decay": "t_lstm", "decay_of": "c_and_h"}, "splits c alone"),
        ({"decay": "t_lstm", "decay_minutes": (5.0, 50.0)}, r"decay_minutes = \[5.0, 50.0\] needs a decay"),
        ({"feedback_width": 3}, "feedback_width = 3 needs feedback"),
        ({"feedback": "projection", "feedback_memory": 3}, 'needs feedback = "attention"'),
        ({"convolution_width": 2, "input_dropout": 0.1}, "drop before it with feature_dropout"),
        ({"between_dropout": 0.1}, "needs lstm_layers of at least 2"),
        ({"num_labels": 2, "risk_head": "softmax"}, "labels do not exclude each other"),
        ({"decay": "power", "decay_minutes": (50.0, 5.0)}, "decay_minutes to ascend"),
        ({"aggregates": ("length", "length")}, "each of aggregates once"),
        ({"aggregates": ("since_last",), "aggregates_into": "input"}, "which no event before the last one knows"),
        ({"num_labels": 3, "positive_weights": (1.0, 2.0)}, "one for all labels, or num_labels"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        NetworkConfig.model_validate(options)


def test_a_refusal_names_file_and_section(tmp_path: Path) -> None:
    path = tmp_path / "churn.toml"
    path.write_text('name = "churn"\npredicts = "leaves"\n[data]\npath = "log.csv"\n[network]\nbetween_dropout = 0.2\n')

    with pytest.raises(ConfigError, match=r"churn\.toml: network: between_dropout = 0\.2 needs lstm_layers"):
        TrainingConfig.read(path)


def test_a_configuration_written_out_whole_is_read_back() -> None:
    config = NetworkConfig.model_validate({"decay": "power", "aggregates": ("counts", "length"), "num_labels": 2})

    assert NetworkConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(("given", "weights"), [((2.0,), (2.0, 2.0)), ((2.0, 3.0), (2.0, 3.0))])
def test_one_weight_goes_for_all_labels(given: tuple[float, ...], weights: tuple[float, ...]) -> None:
    assert NetworkConfig(num_labels=2, positive_weights=given).label_weights == weights


@pytest.mark.parametrize(
    ("options", "is_causal"),
    [
        ({"time": "none"}, True),
        ({"time": "log_gap", "aggregates": ("since_start",)}, True),
        ({"time": "elapsed"}, False),
        ({"time": "log_elapsed"}, False),
        ({"time": "both"}, False),
        ({"aggregates": ("since_last",)}, False),
    ],
)
def test_only_what_later_events_leave_alone_is_causal(options: dict[str, object], is_causal: bool) -> None:
    assert NetworkConfig.model_validate(options).is_causal is is_causal
