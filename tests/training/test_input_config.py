import pytest
from pydantic import ValidationError

from models.further_inputs import FurtherInput
from training.config import TrainingConfig
from training.input_config import InputConfig

AMOUNT: dict[str, object] = {"name": "amount", "kind": "numeric", "default": 0, "transform": "log1p", "unit": "EUR"}
CHANNEL: dict[str, object] = {"name": "channel", "kind": "categorical", "column": "via", "default": "none"}
CLOCK: dict[str, object] = {"kind": "clock"}


def config_with(*inputs: dict[str, object], **data: object) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {"name": "a", "predicts": "b", "data": {"path": "log.csv", **data}, "inputs": inputs}
    )


def test_inputs_are_declared_as_the_manifest_will_have_them() -> None:
    amount, channel, clock = config_with(AMOUNT, CHANNEL, CLOCK).inputs

    assert amount.declared() == FurtherInput(name="amount", kind="numeric", per="event", unit="EUR", default=0.0)
    assert channel.declared(("web",)).categories == ("web",)
    assert (amount.source, channel.source) == ("amount", "via")
    assert clock.declared().name == "scored_minute_of_week"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({**AMOUNT, "name": "Amount"}, "pattern"),
        ({**AMOUNT, "default": "much"}, "a number for others"),
        ({**CHANNEL, "transform": "log1p"}, "a transform for numeric inputs only"),
        ({**CLOCK, "column": "timestamp"}, "no column for the clock"),
        ({**CLOCK, "per": "event"}, "the clock per sequence"),
        ({**AMOUNT, "kind": "number"}, "'numeric', 'categorical' or 'clock'"),
        ({**AMOUNT, "mean": 1}, "Extra inputs"),
    ],
)
def test_an_input_that_means_nothing_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        InputConfig.model_validate(given)


@pytest.mark.parametrize(
    ("inputs", "data", "message"),
    [
        ([AMOUNT, AMOUNT], {}, "each of the inputs once"),
        ([{**AMOUNT, "column": "label"}], {}, "columns that have no other meaning, received label"),
        ([CLOCK], {"time_unit": "minutes"}, "other times have no hour and no weekday"),
    ],
)
def test_inputs_that_contradict_the_rest_are_refused(
    inputs: list[dict[str, object]], data: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        config_with(*inputs, **data)
