from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.network_config import Decay
from training.time_gates import time_gate

UNITS = 4
STATE = tf.constant([[0.5, -0.9, 0.1, 1.5]])
EVENT = tf.constant([[0.3, -0.2]])

DECAYS: list[Decay] = [decay for decay in get_args(Decay) if decay != "none"]
every_gate = pytest.mark.parametrize("decay", DECAYS)
minutes = st.floats(0, 20_000)


def built(decay: Decay) -> keras.layers.Layer:
    keras.utils.set_random_seed(2)
    gate = time_gate(decay, UNITS, (1.0, 1000.0), "gate")
    gate.build((None, 2))
    return gate


GATES = {decay: built(decay) for decay in DECAYS}


def left(decay: Decay, gap: float) -> NDArray[np.float32]:
    """What is left of `STATE` after a gap."""
    return GATES[decay](STATE, EVENT, tf.constant([[gap]], tf.float32)).numpy()[0]


@every_gate
def test_no_time_leaves_the_state_as_it_is(decay: Decay) -> None:
    assert left(decay, 0.0) == pytest.approx(STATE.numpy()[0], abs=1e-6)


@settings(deadline=None, max_examples=20)
@every_gate
@given(gaps=st.tuples(minutes, minutes))
def test_a_longer_gap_never_leaves_more(decay: Decay, gaps: tuple[float, float]) -> None:
    shorter, longer = sorted(gaps)

    # Towards 0, or under t_lstm towards the long-term part, which may be larger than the state.
    gone = [np.abs(STATE.numpy()[0] - left(decay, gap)) for gap in (shorter, longer)]
    assert (gone[0] <= gone[1] + 1e-6).all()


@every_gate
def test_the_longest_gap_a_manifest_allows_leaves_numbers_and_gradients(decay: Decay) -> None:
    with tf.GradientTape() as tape:
        kept = GATES[decay](STATE, EVENT, tf.constant([[1e9]]))
    gradients = tape.gradient(kept, GATES[decay].trainable_variables)

    assert np.isfinite(kept).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@settings(deadline=None, max_examples=20)
@given(first=minutes, second=minutes)
def test_only_under_exponentials_two_gaps_are_their_sum(first: float, second: float) -> None:
    state = STATE.numpy()[0]

    def both(decay: Decay) -> NDArray[np.float32]:
        return left(decay, first) * left(decay, second) / state

    assert both("exponential") == pytest.approx(left("exponential", first + second), abs=1e-4)
    if min(first, second) > 1:
        assert (np.abs(both("hyperbolic")) < np.abs(left("hyperbolic", first + second))).all()


@pytest.mark.parametrize(
    ("decay", "kept"),
    [("hyperbolic", 1 / 2), ("exponential", np.exp(-1)), ("power", 1 / 2), ("input_dependent", np.exp(-1))],
)
def test_units_start_with_evenly_spaced_time_scales(decay: Decay, kept: float) -> None:
    for unit, scale in enumerate([1000.0, 100.0, 10.0, 1.0]):
        assert left(decay, scale)[unit] == pytest.approx(kept * STATE.numpy()[0, unit], rel=1e-4)


def test_long_term_memory_stays_under_t_lstm() -> None:
    gate = GATES["t_lstm"]
    short_term = np.tanh(STATE.numpy() @ gate.kernel.numpy())[0]

    assert left("t_lstm", 1e9) == pytest.approx(STATE.numpy()[0] - short_term * (1 - 1 / np.log(1e9)), abs=1e-5)
