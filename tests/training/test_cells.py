import keras
import numpy as np
import pytest
import tensorflow as tf

from training.cells import TimeAwareLSTMCell

EVENTS = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 5)), tf.float32)
ZEROS = [tf.zeros((2, 4)), tf.zeros((2, 4))]


def cell_of(decay: str = "none", decay_of: str = "c", **options: float) -> TimeAwareLSTMCell:
    return TimeAwareLSTMCell(4, decay, decay_of, (1.0, 1000.0), num_droppable=3, seed=1, **options)  # type: ignore[arg-type]


def test_without_a_decay_it_is_an_lstm() -> None:
    ours, plain = keras.layers.RNN(cell_of()), keras.layers.LSTM(4)
    ours.build(EVENTS.shape)
    plain.build(EVENTS.shape)
    ours.set_weights(plain.get_weights())

    assert ours(EVENTS).numpy().tolist() == plain(EVENTS).numpy().tolist()


def test_a_gate_before_the_step_is_a_factor_of_the_forget_gate() -> None:
    decaying, plain = cell_of("exponential"), cell_of()
    decaying.build((None, 6))
    plain.build((None, 5))
    for weight in ("kernel", "recurrent_kernel", "bias"):
        getattr(plain, weight).assign(getattr(decaying, weight))
    event, gap = EVENTS[:, 0], tf.constant([[0.5], [700.0]])
    h, c = tf.ones((2, 4)), tf.constant([[1.0, 2.0, 3.0, 4.0]] * 2)

    _, (_, faded) = decaying(tf.concat([event, gap], 1), [h, c])
    _, (_, whole) = plain(event, [h, c])
    _, (_, written) = plain(event, [h, tf.zeros_like(c)])

    kept = np.exp(-gap.numpy() / np.array([1000.0, 100.0, 10.0, 1.0]))
    assert faded.numpy() == pytest.approx(kept * (whole - written).numpy() + written.numpy(), abs=1e-5)


@pytest.mark.parametrize(("decay_of", "is_stale"), [("c", True), ("c_and_h", False)])
def test_gates_see_h_as_it_was_unless_it_fades_too(decay_of: str, is_stale: bool) -> None:
    cell = cell_of("hyperbolic", decay_of)
    cell.build((None, 6))
    after_silence = tf.concat([EVENTS[:, 0], tf.fill((2, 1), 1e9)], 1)

    remembering, _ = cell(after_silence, [tf.ones((2, 4)), tf.zeros((2, 4))])
    afresh, _ = cell(after_silence, ZEROS)

    assert bool(np.abs(remembering - afresh).max() > 1e-3) is is_stale


@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.3])
def test_input_dropout_leaves_time_alone(recurrent_dropout: float) -> None:
    cell = cell_of("exponential", dropout=0.6, recurrent_dropout=recurrent_dropout)
    cell.build((None, 6))

    masks = cell.get_dropout_mask(tf.ones((500, 6)))

    for mask in masks if isinstance(masks, list) else [masks]:
        assert mask is not None
        assert mask.shape == (500, 5)
        assert (mask.numpy()[:, 3:] == 1).all()
        assert (mask.numpy()[:, :3] == 0).mean() == pytest.approx(0.6, abs=0.05)


def test_dropout_inside_is_on_in_training_only() -> None:
    layer = keras.layers.RNN(cell_of("exponential", dropout=0.5, recurrent_dropout=0.5), return_sequences=True)
    inputs = tf.concat([EVENTS, tf.ones((2, 6, 1))], 2)

    served = [layer(inputs, training=False).numpy().tolist() for _ in range(2)]
    trained = [layer(inputs, training=True).numpy().tolist() for _ in range(2)]

    assert served[0] == served[1]
    assert trained[0] != trained[1]


def test_a_cell_is_built_again_from_its_configuration() -> None:
    cell = cell_of("power", "c_and_h", dropout=0.1, recurrent_dropout=0.2)

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))

    assert again.get_config() == cell.get_config()
    assert (again.decay, again.decay_of, again.decay_minutes, again.num_droppable) == ("power", "c_and_h", (1, 1000), 3)
