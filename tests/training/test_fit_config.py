import pytest
from pydantic import ValidationError

from training.fit_config import FitConfig


@pytest.mark.parametrize(
    "options",
    [{"learning_rate": 0}, {"batch_size": 0}, {"average_epochs": -1}, {"weight_decay": -0.1}, {"momentum": 0.9}],
)
def test_what_no_fit_can_go_by_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        FitConfig.model_validate(options)


def test_nothing_is_averaged_or_decayed_unless_it_is_asked_for() -> None:
    assert (FitConfig().average_epochs, FitConfig().weight_decay) == (0, 0)
