import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from models.sequences import UNKNOWN_ID
from tests.training.architectures import IDS, MINUTES, VOCABULARY_SIZE
from training.dropouts import RandomUnknown, drop_between, drop_embeddings, drop_state
from training.network import build_network
from training.network_config import NetworkConfig

BATCH, TIME, WIDTH = 40, 30, 20


def dropped(layer: keras.Model | keras.layers.Layer) -> NDArray[np.bool_]:
    """Where ones were dropped, (batch, time, width); what is kept must be scaled up."""
    outputs = layer(tf.ones((BATCH, TIME, WIDTH)), training=True).numpy()
    assert outputs[outputs > 0] == pytest.approx(1 / (1 - 0.3))
    return outputs == 0


def model_of(**options: float) -> keras.Model:
    config = NetworkConfig.model_validate({"lstm_layers": 2, **options})
    inputs = keras.Input((None, WIDTH))
    outputs = drop_between(inputs, config, 2) if "between_dropout" in options else drop_embeddings(inputs, config)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("option", "shared_axes"),
    [
        ("element_dropout", ()),
        ("event_dropout", (2,)),
        ("feature_dropout", (1,)),
        ("between_dropout", (1,)),
    ],
)
def test_dropout_drops_what_its_name_says(option: str, shared_axes: tuple[int, ...]) -> None:
    is_dropped = dropped(model_of(**{option: 0.3}))

    assert is_dropped.mean() == pytest.approx(0.3, abs=0.05)
    for axis in range(3):
        is_shared = (is_dropped == is_dropped.take([0], axis)).all()
        assert is_shared == (axis in shared_axes)


@pytest.mark.parametrize("is_per_event", [False, True])
def test_the_state_is_dropped_alike_at_every_event(is_per_event: bool) -> None:
    is_dropped = dropped(drop_state(NetworkConfig(dropout=0.3), is_per_event=is_per_event))

    assert bool((is_dropped == is_dropped[:, :1]).all()) is is_per_event


def test_no_dropout_before_the_recurrent_layer_touches_time() -> None:
    config = NetworkConfig(embedding_width=4, element_dropout=0.5, event_dropout=0.5, feature_dropout=0.5)
    network = build_network(config, VOCABULARY_SIZE, unknown_rate=0.5)
    joined = keras.Model(network.inputs, network.get_layer("event_and_gap").output)
    inputs = {"event_ids": IDS, "elapsed_minutes": MINUTES}

    trained, served = joined(inputs, training=True).numpy(), joined(inputs, training=False).numpy()

    assert trained[:, :, 4].tolist() == served[:, :, 4].tolist()
    assert trained[:, :, :4].tolist() != served[:, :, :4].tolist()


def test_events_turn_unknown_only_in_training_and_padding_never() -> None:
    layer = RandomUnknown(0.3, seed=1)
    event_ids = tf.concat([tf.fill((100, 50), 4), tf.zeros((100, 50), tf.int32)], axis=1)

    trained, served = layer(event_ids, training=True).numpy(), layer(event_ids, training=False).numpy()

    assert served.tolist() == event_ids.numpy().tolist()
    assert (trained[:, 50:] == 0).all()
    assert (trained[:, :50] == UNKNOWN_ID).mean() == pytest.approx(0.3, abs=0.03)


def test_the_layer_of_random_unknown_events_is_built_again_from_its_configuration() -> None:
    layer = RandomUnknown(0.25, seed=4, name="unknown")

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))

    assert (again.rate, again.seed, again.name) == (0.25, 4, "unknown")
