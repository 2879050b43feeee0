from dataclasses import replace

import numpy as np
import pytest

from models.further_inputs import SCORED_MINUTE_OF_WEEK
from training import contenders
from training.config import TrainingConfig
from training.contenders import fit_contender, without_time
from training.eventlog import EventLog
from training.input_config import InputConfig
from training.network_config import AuxiliaryTarget, NetworkConfig
from training.parts import Parts, cut_parts
from training.results import NETWORK, NETWORK_SHUFFLED_ORDER, NETWORK_WITHOUT_TIME
from training.splits import Split

PARTS = ("training", "fit", "validation", "calibration", "test", "joint")


def test_without_time_every_other_option_stays() -> None:
    network = NetworkConfig(
        time="both",
        decay="exponential",
        decay_of="c_and_h",
        decay_minutes=(2.0, 50.0),
        aggregates=("length", "largest_gap", "since_last"),
        lstm_units=7,
        convolution_width=2,
    )

    timeless = without_time(network)

    assert timeless == NetworkConfig(time="none", aggregates=("length",), lstm_units=7, convolution_width=2)


@pytest.mark.parametrize(("target", "kept"), [("next_event", "next_event"), ("minutes_to_next_event", "label")])
def test_without_time_the_state_foretells_none(target: AuxiliaryTarget, kept: AuxiliaryTarget) -> None:
    assert without_time(NetworkConfig(auxiliary_target=target)).auxiliary_target == kept


class _Fitted:
    def risks(self, prefixes: object) -> np.ndarray:
        return np.zeros(1)


def test_each_network_is_fitted_on_what_it_is_named_after(
    log: EventLog, split: Split, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, tuple[TrainingConfig, Parts, bool]] = {}
    clock = InputConfig.model_validate({"kind": "clock"})
    refitting = config.fit.model_copy(update={"refit": True})
    with_clock = config.model_copy(update={"inputs": (clock,), "fit": refitting})
    parts = cut_parts(
        replace(log, has_clock=True),
        replace(split, **{part: replace(getattr(split, part), has_clock=True) for part in PARTS}),
        with_clock,
    )

    for model in (NETWORK, NETWORK_WITHOUT_TIME, NETWORK_SHUFFLED_ORDER):

        def note(
            config: TrainingConfig, parts: Parts, *, callbacks: object, has_shared_rows: bool, model: str = model
        ) -> _Fitted:
            seen[model] = (config, parts, has_shared_rows)
            return _Fitted()

        monkeypatch.setattr(contenders, "fit_risk_network", note)
        fit_contender(model, with_clock, parts)

    assert seen[NETWORK] == (with_clock, parts, True)
    timeless, its_parts, _ = seen[NETWORK_WITHOUT_TIME]
    assert timeless.network.time == "none"
    assert its_parts.further == ()
    encoded = its_parts.test.encoded(parts.vocabulary, 10)
    assert SCORED_MINUTE_OF_WEEK not in encoded.further
    assert its_parts.joint is not None
    assert SCORED_MINUTE_OF_WEEK not in its_parts.joint.encoded(parts.vocabulary, 10).further
    shuffled = seen[NETWORK_SHUFFLED_ORDER]
    assert shuffled[0] == with_clock
    assert not shuffled[2]
    assert shuffled[1].test.log is not parts.test.log
    assert parts.joint is not None
    assert shuffled[1].joint is not None
    assert shuffled[1].joint.log is not parts.joint.log
