import keras
import pytest

from tests.training.architectures import ARCHITECTURES, IDS, MINUTES, network_of
from training.network_config import NetworkConfig
from training.recurrence import layer_names


def test_layers_are_named_from_the_events_up() -> None:
    assert layer_names(NetworkConfig(lstm_layers=3)) == ["lstm", "lstm_2", "lstm_3"]


def test_a_network_without_extras_is_keras_own_layer_with_its_gpu_kernel() -> None:
    layer = network_of(ARCHITECTURES["stacked"]).get_layer("lstm_2")

    assert isinstance(layer, keras.layers.LSTM)
    assert layer.use_cudnn == "auto"


@pytest.mark.parametrize("name", ["dropouts", "everything"])
def test_what_is_to_be_exported_draws_no_random_numbers_inside(name: str) -> None:
    trained, portable = network_of(ARCHITECTURES[name]), network_of(ARCHITECTURES[name], is_portable=True)

    for layer in layer_names(ARCHITECTURES[name]):
        cell = portable.get_layer(layer).cell
        assert (cell.dropout, cell.recurrent_dropout) == (0, 0)
    assert [weight.shape for weight in portable.weights] == [weight.shape for weight in trained.weights]


def test_dropout_inside_and_between_layers_is_on_in_training_only() -> None:
    network = network_of(ARCHITECTURES["dropouts"])
    state = keras.Model(network.inputs, network.get_layer("lstm_2").output)
    inputs = {"event_ids": IDS, "elapsed_minutes": MINUTES}

    served = [state(inputs, training=False).numpy().tolist() for _ in range(2)]
    trained = [state(inputs, training=True).numpy().tolist() for _ in range(2)]

    assert served[0] == served[1]
    assert trained[0] != trained[1]
