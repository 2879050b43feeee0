import pytest
from pydantic import BaseModel, ValidationError

from training.fit_config import FitConfig
from training.network_config import NetworkConfig
from training.search_space import SPACE, Choice, Range, TuneConfig

SECTIONS: dict[str, type[BaseModel]] = {"network": NetworkConfig, "fit": FitConfig}


@pytest.mark.parametrize("option", SPACE)
def test_every_option_that_is_tuned_stands_in_its_section(option: str) -> None:
    assert option in SECTIONS[SPACE[option].section].model_fields


def test_a_choice_is_narrowed_to_some_of_its_words() -> None:
    time = SPACE["time"].narrowed(("both", "log_gap"))

    assert isinstance(time, Choice)
    assert list(time.words) == ["both", "log_gap"]


def test_a_range_is_set_to_two_numbers_or_to_one() -> None:
    units = SPACE["lstm_units"]

    assert units.narrowed((8, 512)) == Range("network", 8, 512, is_logarithmic=True)
    assert units.narrowed((64,)) == Range("network", 64, 64, is_logarithmic=True)


def test_a_drawn_number_is_short_enough_to_read() -> None:
    assert SPACE["learning_rate"].meaning(0.0037878409) == 0.00379
    assert SPACE["aggregates"].meaning("none") == ()


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ({"units": [8, 16]}, "space.units: expected one of the options tuned: time"),
        ({"time": []}, "space.time: expected at least one value"),
        ({"time": ["gap"]}, "expected some of none, log_gap, log_elapsed, both, received gap"),
        ({"lstm_units": [64, 8]}, "expected one or two whole numbers, the lower one first, received 64, 8"),
        ({"lstm_units": [8.5]}, "expected one or two whole numbers"),
        ({"dropout": ["much"]}, "expected one or two numbers"),
        ({"dropout": [0.1, 0.2, 0.3]}, "expected one or two numbers"),
    ],
)
def test_a_space_that_means_nothing_is_refused_by_its_option(space: dict[str, list[object]], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TuneConfig.model_validate({"space": space})
