import numpy as np
import pytest
import tensorflow as tf

from tests.training.architectures import ARCHITECTURES, CAUSAL, VOCABULARY_SIZE, network_of, outputs_of
from training.config import ConfigError
from training.stepping import Stepper

NUM_HISTORIES, TIME = 1000, 6


@pytest.mark.parametrize("name", CAUSAL)
def test_stepping_a_thousand_histories_equals_the_full_pass(name: str) -> None:
    generator = np.random.default_rng(5)
    ids = generator.integers(1, VOCABULARY_SIZE, (NUM_HISTORIES, TIME)).astype(np.int32)
    minutes = np.cumsum(generator.exponential(300, (NUM_HISTORIES, TIME)), 1)[:, ::-1].astype(np.float32)
    minutes -= minutes[:, -1:]
    gaps = np.pad(minutes[:, :-1] - minutes[:, 1:], ((0, 0), (1, 0)))
    full_pass = outputs_of(network_of(CAUSAL[name], is_per_event=True), ids, minutes)
    stepper = Stepper(network_of(CAUSAL[name]), CAUSAL[name])

    state = stepper.initial_state(NUM_HISTORIES)
    for k in range(TIME):
        state, stepped = stepper.step(state, tf.constant(ids[:, k]), tf.constant(gaps[:, k]))
        assert stepped.keys() == full_pass.keys()
        for output, logits in stepped.items():
            difference = np.abs(logits.numpy() - full_pass[output][:, k]).max()
            assert difference <= 1e-6, (output, k)


def test_a_state_may_be_gone_on_with_twice() -> None:
    stepper = Stepper(network_of(ARCHITECTURES["everything"]), ARCHITECTURES["everything"])
    after_first, _ = stepper.step(stepper.initial_state(1), tf.constant([2]), tf.constant([0.0]))

    risks = [stepper.step(after_first, tf.constant([3]), tf.constant([gap]))[1]["risk"] for gap in (5.0, 900.0, 5.0)]

    assert float(risks[0][0, 0]) == float(risks[2][0, 0]) != float(risks[1][0, 0])


def test_a_network_that_reads_elapsed_minutes_cannot_be_stepped() -> None:
    config = ARCHITECTURES["time_both"]

    with pytest.raises(ConfigError, match=r"network\.time"):
        Stepper(network_of(config), config)
