import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.config import ConfigError, TrainingConfig
from training.search_space import SPACE, Choice
from training.tuned_config import Options, has_effect, own_options, space_of, to_toml, with_options

REQUIRED = {"name": "churn", "predicts": "they leave", "data": {"path": "log.csv"}}


def config_of(**sections: object) -> TrainingConfig:
    return TrainingConfig.model_validate(REQUIRED | sections)


@st.composite
def drawings(draw: st.DrawFn) -> Options:
    """What a trial may draw, in the way it draws."""
    drawn: Options = {}
    for option, dimension in SPACE.items():
        if not has_effect(option, drawn, SPACE):
            continue
        if isinstance(dimension, Choice):
            drawn[option] = draw(st.sampled_from(sorted(dimension.words)))
        elif dimension.is_whole:
            drawn[option] = draw(st.integers(int(dimension.lowest), int(dimension.highest)))
        else:
            drawn[option] = draw(st.floats(dimension.lowest, dimension.highest))
    return drawn


@settings(max_examples=40)
@given(drawings())
def test_whatever_a_trial_draws_is_a_configuration_with_these_options(drawn: Options) -> None:
    # Every part of this one is without effect beside some other options.
    config = config_of(
        network={
            "decay": "power",
            "decay_of": "c_and_h",
            "decay_minutes": [5, 500],
            "feedback": "attention",
            "feedback_memory": 3,
            "convolution_width": 2,
            "convolution_filters": 9,
            "aggregates": ["counts"],
            "aggregates_into": "input",
            "lstm_layers": 2,
            "between_dropout": 0.1,
        }
    )

    tuned = with_options(config, drawn, SPACE)

    for option, value in drawn.items():
        assert getattr(getattr(tuned, SPACE[option].section), option) == SPACE[option].meaning(value)


@settings(max_examples=40)
@given(drawings(), st.text(min_size=1), st.text(min_size=1))
def test_a_tuned_configuration_survives_its_file(drawn: Options, predicts: str, column: str) -> None:
    config = config_of(
        predicts=predicts,
        data={"path": "log.csv", "split_column": "split " + column},
        split={"test_values": [column, "test"]},
        serving={"bands": [{"name": "low", "lower_risk": 0}, {"name": predicts, "lower_risk": 1e-05}]},
    )
    tuned = with_options(config, drawn, SPACE)

    assert read_back(to_toml(tuned, "from a study\nof mine")) == tuned


def test_the_options_a_configuration_has_are_a_trial_that_changes_nothing() -> None:
    config = config_of(network={"lstm_units": 48, "decay": "exponential"}, fit={"learning_rate": 0.5})

    own = own_options(config, SPACE)

    assert "learning_rate" not in own
    assert with_options(config, own, SPACE).network == config.network


def test_a_model_that_is_asked_between_events_is_only_tried_with_inputs_that_tell_the_silence() -> None:
    between = {"network": {"time": "both"}, "prefixes": {"between_events": 0.5}}

    time = space_of(config_of(**between))["time"]
    assert isinstance(time, Choice)
    assert list(time.words) == ["log_elapsed", "both"]

    with pytest.raises(ConfigError, match=r"beside prefixes\.between_events"):
        space_of(config_of(**between, tune={"space": {"time": ["none"]}}))


def test_numbers_may_lie_beyond_the_usual_ones_but_not_beyond_what_the_option_takes() -> None:
    units = space_of(config_of(tune={"space": {"convolution_filters": [128, 512]}}))["convolution_filters"]
    assert units.drawn(300) == 300

    with pytest.raises(ConfigError, match=r"tune\.space\.dropout: Input should be less than 1\. Received: 1\.5\."):
        space_of(config_of(tune={"space": {"dropout": [0.1, 1.5]}}))


def read_back(text: str) -> TrainingConfig:
    return TrainingConfig.model_validate(tomllib.loads(text))


def test_no_trial_foretells_what_follows_a_whole_history() -> None:
    whole = {"prefixes": {"histories": "whole"}}

    target = space_of(config_of(**whole))["auxiliary_target"]

    assert isinstance(target, Choice)
    assert list(target.words) == ["label"]
    with pytest.raises(ConfigError, match=r'Expected "label" in tune\.space\.auxiliary_target'):
        space_of(config_of(**whole, tune={"space": {"auxiliary_target": ["next_event"]}}))
