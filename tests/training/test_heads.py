import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.architectures import ARCHITECTURES, IDS, MINUTES, network_of, outputs_of
from training.heads import PriorCorrection


def test_two_logits_that_compete_are_one_with_the_difference_of_their_weights() -> None:
    two, one = network_of(ARCHITECTURES["softmax"]), network_of(ARCHITECTURES["time_both"])
    for layer in ("event_embedding", "lstm", "dense", "auxiliary_risk"):
        one.get_layer(layer).set_weights(two.get_layer(layer).get_weights())
    one.get_layer("risk").set_weights([np.diff(weight) for weight in two.get_layer("risk").get_weights()])

    received, expected = outputs_of(two, IDS, MINUTES), outputs_of(one, IDS, MINUTES)

    assert received["risk"] == pytest.approx(expected["risk"], abs=1e-6)
    hidden = keras.Model(two.inputs, two.get_layer("risk").output)({"event_ids": IDS, "elapsed_minutes": MINUTES})
    assert tf.nn.softmax(hidden).numpy()[:, 1:] == pytest.approx(tf.sigmoid(received["risk"]).numpy(), abs=1e-6)


@pytest.mark.parametrize(("name", "is_stopped"), [("default", False), ("next_event", True)])
def test_the_auxiliary_risk_shapes_the_state_only_where_it_is_the_auxiliary_target(name: str, is_stopped: bool) -> None:
    network = network_of(ARCHITECTURES[name])
    kernel = network.get_layer("lstm").cell.kernel

    with tf.GradientTape(persistent=True) as tape:
        outputs = network({"event_ids": IDS, "elapsed_minutes": MINUTES}, training=True)
    assert (tape.gradient(outputs["auxiliary_risk"], kernel.value) is None) is is_stopped
    assert tape.gradient(outputs["auxiliary_risk"], network.get_layer("auxiliary_risk").kernel.value) is not None


def test_labels_have_logits_of_their_own() -> None:
    outputs = outputs_of(network_of(ARCHITECTURES["labels"]), IDS, MINUTES)

    assert outputs["risk"].shape == (3, 1)
    assert outputs["further_risks"].shape == (3, 2)


def test_the_prior_is_corrected_when_serving_and_not_in_training() -> None:
    layer, logits = PriorCorrection((4.0, 0.5)), tf.constant([[1.0, 2.0]])

    assert layer(logits, training=True).numpy().tolist() == [[1, 2]]
    assert layer(logits, training=False).numpy()[0] == pytest.approx([1 - np.log(4), 2 + np.log(2)])
