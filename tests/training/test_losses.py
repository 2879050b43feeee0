import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.architectures import ARCHITECTURES, IDS, MINUTES, network_of
from training.losses import (
    BinaryCrossentropy,
    MinutesToNextEventLoss,
    NextEventCrossentropy,
    network_loss_weights,
    network_losses,
)

NAN = float("nan")
LABELS = np.array([[1.0, NAN], [0.0, 1.0], [NAN, 0.0]], np.float32)
LOGITS = np.array([[0.3, 5.0], [-1.0, 2.0], [7.0, 0.4]], np.float32)


def cross_entropy(label: float, logit: float) -> float:
    probability = 1 / (1 + np.exp(-logit))
    return float(-np.log(probability if label else 1 - probability))


def test_with_every_label_known_and_no_weights_it_is_keras_own_loss() -> None:
    labels, logits = np.array([[1.0], [0.0], [1.0]], np.float32), LOGITS[:, :1]

    ours, keras_own = BinaryCrossentropy((1.0,)), keras.losses.BinaryCrossentropy(from_logits=True)

    assert float(ours(labels, logits)) == pytest.approx(float(keras_own(labels, logits)), rel=1e-6)


def test_missing_labels_cost_nothing_and_count_for_nothing() -> None:
    known = [2 * cross_entropy(1, 0.3), cross_entropy(0, -1), 3 * cross_entropy(1, 2), cross_entropy(0, 0.4)]

    assert float(BinaryCrossentropy((2.0, 3.0))(LABELS, LOGITS)) == pytest.approx(np.mean(known), rel=1e-5)


def test_without_any_label_loss_and_gradient_are_zero() -> None:
    logits = tf.Variable(LOGITS)

    with tf.GradientTape() as tape:
        loss = BinaryCrossentropy((1.0, 1.0))(np.full_like(LOGITS, NAN), logits)

    assert float(loss) == 0
    assert not np.any(tape.gradient(loss, logits).numpy())


@settings(deadline=None, max_examples=30)
@given(prevalence=st.floats(0.01, 0.99), weight=st.floats(0.1, 50))
def test_a_weight_of_label_one_shifts_the_best_logit_by_its_logarithm(prevalence: float, weight: float) -> None:
    best = np.log(prevalence / (1 - prevalence)) + np.log(weight)
    labels, shares = np.array([[1.0], [0.0]], np.float32), np.array([prevalence, 1 - prevalence], np.float32)
    logits = tf.Variable(np.full((2, 1), best, np.float32))

    with tf.GradientTape() as tape:
        loss = BinaryCrossentropy((weight,))(labels, logits, sample_weight=shares)
    slope = tape.gradient(loss, logits).numpy()

    assert slope.sum() == pytest.approx(0, abs=1e-4 * float(np.abs(slope).max()))


def test_the_next_event_is_learnt_where_there_is_one() -> None:
    next_ids = np.array([[[2], [1], [0]], [[3], [0], [0]]], np.int32)
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    expected = -np.mean([logs[0, 0, 2], logs[0, 1, 1], logs[1, 0, 3]])
    assert float(NextEventCrossentropy()(next_ids, logits)) == pytest.approx(expected, rel=1e-5)


def test_minutes_to_the_next_event_are_learnt_on_a_logarithmic_scale() -> None:
    minutes, estimates = np.array([[0.0], [99.0], [NAN]], np.float32), np.array([[0.5], [0.0], [3.0]], np.float32)

    expected = np.mean([0.5**2 / 2, np.log(100) - 0.5])
    assert float(MinutesToNextEventLoss()(minutes, estimates)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [BinaryCrossentropy((2.0, 3.0)), NextEventCrossentropy(), MinutesToNextEventLoss()])
def test_a_loss_is_built_again_from_its_configuration(loss: keras.losses.Loss) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))

    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


def test_auxiliary_losses_have_the_auxiliary_weight() -> None:
    weights = network_loss_weights(network_losses(ARCHITECTURES["everything"]), 0.2)

    assert weights == {"risk": 1.0, "further_risks": 1.0, "auxiliary_risk": 0.2, "next_event": 0.2}


@pytest.mark.parametrize(("name", "is_per_event"), [("labels", False), ("next_event", True)])
def test_keras_fits_every_output_with_its_loss(name: str, is_per_event: bool) -> None:
    # Dropout draws, too.
    keras.utils.set_random_seed(3)
    config = ARCHITECTURES[name]
    network = network_of(config, is_per_event=is_per_event)
    network.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=network_losses(config),
        loss_weights=network_loss_weights(network_losses(config), 0.2),
        run_eagerly=True,
    )
    rows = IDS.shape if is_per_event else IDS.shape[:1]
    labels = np.where(IDS > 0, 1.0, NAN)[..., None] if is_per_event else np.array([[1.0], [0.0], [NAN]])
    targets = {"risk": labels, "auxiliary_risk": labels, "further_risks": np.repeat(labels, 2, -1)}
    targets |= {"next_event": np.full((*rows, 1), 2), "minutes_to_next_event": np.full((*rows, 1), 9.0)}
    chosen = {output: targets[output] for output in network_losses(config)}

    inputs = {"event_ids": IDS, "elapsed_minutes": MINUTES}
    before = network.evaluate(inputs, chosen, verbose=0)
    network.fit(inputs, chosen, epochs=6, verbose=0)

    assert network.evaluate(inputs, chosen, verbose=0) < before
