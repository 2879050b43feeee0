import keras
import numpy as np
import pytest
import tensorflow as tf

from training.cells import CellOptions, TimeAwareLSTMCell
from training.feedback import AttentionFeedbackCell, ProjectionFeedbackCell

UNITS, WIDTH = 4, 2
OPTIONS: CellOptions = {"decay": "none", "decay_of": "c", "decay_minutes": (1.0, 10.0), "num_droppable": 3}
EVENTS = tf.constant(np.random.default_rng(1).normal(size=(2, 7, 3)), tf.float32)


def projection() -> ProjectionFeedbackCell:
    return ProjectionFeedbackCell(UNITS, width=WIDTH, **OPTIONS)


def attention(memory: int) -> AttentionFeedbackCell:
    return AttentionFeedbackCell(UNITS, memory=memory, width=WIDTH, **OPTIONS)


@pytest.mark.parametrize("cell", [projection(), attention(3)], ids=["projection", "attention"])
def test_what_is_fed_back_changes_the_next_step_and_not_this_one(cell: ProjectionFeedbackCell) -> None:
    plain = TimeAwareLSTMCell(UNITS, **OPTIONS)
    cell.build((None, 3))
    plain.build((None, 3))
    kernel = cell.kernel.numpy()
    plain.set_weights([kernel[:3], cell.recurrent_kernel.numpy(), cell.bias.numpy()])

    fed = keras.layers.RNN(cell, return_sequences=True)(EVENTS).numpy()
    unfed = keras.layers.RNN(plain, return_sequences=True)(EVENTS).numpy()

    assert fed[:, 0] == pytest.approx(unfed[:, 0], abs=1e-6)
    assert (np.abs(fed[:, 1:] - unfed[:, 1:]).max(-1) > 1e-5).all()


def test_attention_over_the_first_state_alone_is_that_state() -> None:
    cell = attention(3)
    cell.build((None, 3))
    _, (h, _, fed_back, _) = cell(EVENTS[:, 0], cell.get_initial_state(batch_size=2))

    twice = np.concatenate([h, h], 1)
    expected = np.tanh(twice @ cell.feedback_kernel.numpy() + cell.feedback_bias.numpy())
    assert fed_back.numpy() == pytest.approx(expected, abs=1e-6)


def test_the_memory_holds_the_latest_states_and_no_more() -> None:
    cell = attention(3)
    layer = keras.layers.RNN(cell, return_sequences=True, return_state=True)

    states, *_, memory = layer(EVENTS)

    places = memory.numpy().reshape(2, 3, UNITS + 1)
    assert places[:, :, :-1] == pytest.approx(states.numpy()[:, -3:], abs=1e-6)
    assert (places[:, :, -1] == 1).all()


@pytest.mark.parametrize("cell", [projection(), attention(5)], ids=["projection", "attention"])
def test_a_cell_is_built_again_from_its_configuration(cell: ProjectionFeedbackCell) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))

    assert type(again) is type(cell)
    assert again.get_config() == cell.get_config()
    assert list(again.state_size) == list(cell.state_size)
