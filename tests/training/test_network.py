import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from models.sequences import UNKNOWN_ID
from training.config import NetworkConfig
from training.network import RandomUnknown, build_network, gaps_minutes

IDS = np.array([[2, 3, 4], [3, 0, 0], [1, 2, 0]], np.int32)
MINUTES = np.array([[60.0, 5.0, 0.0], [0.0, 0.0, 0.0], [9.0, 0.0, 0.0]], np.float32)
GARBAGE = np.array([np.nan, np.inf, -5.0, 1e9, -np.inf], np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_network(NetworkConfig(), vocabulary_size=5, unknown_rate=0.02)


def logits(
    network: keras.Model, event_ids: NDArray[np.int32], minutes: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    outputs = network({"event_ids": event_ids, "elapsed_minutes": minutes}, training=False)
    return {name: output.numpy()[:, 0] for name, output in outputs.items()}


@pytest.mark.parametrize("num_columns", [1, 7, 50])
def test_padding_and_what_stands_in_it_never_change_a_logit(network: keras.Model, num_columns: int) -> None:
    padding = ((0, 0), (0, num_columns))
    event_ids, minutes = np.pad(IDS, padding), np.pad(MINUTES, padding)
    minutes[event_ids == 0] = np.resize(GARBAGE, (event_ids == 0).sum())

    padded, unpadded = logits(network, event_ids, minutes), logits(network, IDS, MINUTES)

    for name in ("risk", "auxiliary_risk"):
        assert padded[name] == pytest.approx(unpadded[name], abs=1e-6)


def test_a_history_alone_has_the_logit_it_has_in_a_batch(network: keras.Model) -> None:
    alone, together = logits(network, IDS[1:2, :1], MINUTES[1:2, :1]), logits(network, IDS, MINUTES)

    assert alone["risk"][0] == pytest.approx(together["risk"][1], abs=1e-6)


def test_the_order_of_events_and_the_gaps_between_them_matter(network: keras.Model) -> None:
    first = logits(network, IDS[:1], MINUTES[:1])["risk"][0]

    assert logits(network, IDS[:1, ::-1], MINUTES[:1])["risk"][0] != pytest.approx(first, abs=1e-5)
    assert logits(network, IDS[:1], 100 * MINUTES[:1])["risk"][0] != pytest.approx(first, abs=1e-5)


def test_without_time_the_minutes_do_not_matter() -> None:
    network = build_network(NetworkConfig(time="none"), vocabulary_size=5, unknown_rate=0.02)

    assert logits(network, IDS, MINUTES)["risk"].tolist() == logits(network, IDS, 7 * MINUTES)["risk"].tolist()


def test_gaps_are_minutes_since_the_event_before_and_never_negative() -> None:
    minutes = tf.constant([[90.0, 60.0, 60.0, 0.0], [5.0, 8.0, np.nan, np.inf]])
    mask = tf.constant([[True] * 4, [True, True, False, False]])

    gaps = gaps_minutes(minutes, mask).numpy()

    assert gaps[0].tolist() == [0, 30, 0, 60]
    assert gaps[1, :2].tolist() == [0, 0]
    assert np.isfinite(gaps).all()


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
