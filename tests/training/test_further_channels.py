from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from models.further_inputs import LARGEST_NUMBER, FurtherInput
from models.manifest import Draft
from models.sequences import Vocabulary
from tests.training import formulas
from tests.training.architectures import ARCHITECTURES, GARBAGE, IDS, LENGTHS, MINUTES, VOCABULARY_SIZE
from training.calibration import Platt
from training.config import ConfigError
from training.export import write_saved_model
from training.further_inputs import FittedInput
from training.gate import GateError, check_artifact
from training.golden import History, record
from training.network import build_network
from training.stepping import Stepper

CONFIG = ARCHITECTURES["convolution_3"]
FURTHER = (
    FittedInput(FurtherInput(name="amount", kind="numeric", per="event", unit="EUR", default=0.0), "log1p", 2.0, 3.0),
    FittedInput(
        FurtherInput(
            name="channel", kind="categorical", per="event", unit=None, default=None, categories=("web", "app")
        )
    ),
    FittedInput(
        FurtherInput(name="age", kind="numeric", per="sequence", unit="years", default=None), "none", 40.0, 9.0
    ),
    FittedInput(
        FurtherInput(name="country", kind="categorical", per="sequence", unit=None, default="?", categories=("CH",))
    ),
    FittedInput(FurtherInput(name="scored_minute_of_week", kind="clock", per="sequence", unit="minutes", default=None)),
)
TENSORS: dict[str, NDArray[Any]] = {
    "event_ids": IDS,
    "elapsed_minutes": MINUTES,
    "amount": np.array([[-7, 0, 1e6, 3, 12], [5, 5, 5, 0, 0], [0.25, 0, 0, 0, 0]], np.float32),
    "channel": np.array([[2, 3, 1, 2, 3], [3, 3, 2, 0, 0], [1, 0, 0, 0, 0]], np.int32),
    "age": np.array([33, 1e20, 58.5], np.float32),
    "country": np.array([2, 1, 2], np.int32),
    "scored_minute_of_week": np.array([600, 30, 10_079.5], np.float32),
}

Outputs = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """All kinds of inputs before a convolution, with random weights; what standardises stays as it is fitted."""
    network = build_network(CONFIG, VOCABULARY_SIZE, 0.02, FURTHER, is_portable=True)
    generator = np.random.default_rng(2)
    for weight in network.trainable_variables:
        weight.assign(generator.normal(scale=0.5, size=weight.shape))
    return network


def outputs_of(network: keras.Model, tensors: dict[str, NDArray[Any]]) -> Outputs:
    return {name: output.numpy() for name, output in network(tensors, training=False).items()}


def told_of_events(weights: formulas.Weights, row: int) -> list[formulas.Vector]:
    """What the equations of training/README.md make of the inputs at each event of a row."""
    at_events = []
    for k in range(LENGTHS[row]):
        amount, age = float(TENSORS["amount"][row, k]), float(TENSORS["age"][row])
        minute = (float(TENSORS["scored_minute_of_week"][row]) - float(MINUTES[row, k])) % 10_080
        of_day, of_week = 2 * np.pi * minute / 1_440, 2 * np.pi * minute / 10_080
        at_events.append(
            np.concatenate(
                [
                    [np.clip((np.sign(amount) * np.log(1 + abs(amount)) - 2) / 3, -10, 10)],
                    weights["channel_embedding/embeddings"][TENSORS["channel"][row, k]],
                    [np.clip((age - 40) / 9, -10, 10)],
                    weights["country_embedding/embeddings"][TENSORS["country"][row]],
                    [np.sin(of_day), np.cos(of_day), np.sin(of_week), np.cos(of_week)],
                ]
            )
        )
    return at_events


def test_a_network_computes_the_equations_of_its_inputs(network: keras.Model) -> None:
    weights = formulas.weights_of(network)

    received = outputs_of(network, TENSORS)

    for row, length in enumerate(LENGTHS):
        ids, minutes = IDS[row, :length].tolist(), MINUTES[row, :length].tolist()
        expected = formulas.logits(CONFIG, weights, ids, minutes, told_of_events(weights, row))
        assert received["risk"][row] == pytest.approx(expected["risk"], abs=1e-5)


def test_nothing_in_padding_ever_changes_a_logit(network: keras.Model) -> None:
    padded = {
        name: np.pad(tensor, ((0, 0), (0, 7))) if tensor.ndim == 2 else tensor for name, tensor in TENSORS.items()
    }
    is_padding = padded["event_ids"] == 0
    for name in ("elapsed_minutes", "amount"):
        padded[name][is_padding] = np.resize(GARBAGE, is_padding.sum())
    padded["channel"][is_padding] = -17

    assert outputs_of(network, padded)["risk"] == pytest.approx(outputs_of(network, TENSORS)["risk"], abs=1e-6)


def test_the_largest_numbers_and_ages_give_a_finite_logit(network: keras.Model) -> None:
    largest = TENSORS | {
        "amount": np.full_like(MINUTES, LARGEST_NUMBER),
        "age": np.full(3, -LARGEST_NUMBER, np.float32),
        "elapsed_minutes": np.where(IDS > 0, np.float32(1e9), 0),
    }

    assert np.isfinite(outputs_of(network, largest)["risk"]).all()


def test_the_clock_tells_the_same_a_thousand_weeks_later(network: keras.Model) -> None:
    later = TENSORS | {"elapsed_minutes": MINUTES + np.float32(1_000 * 10_080) * (IDS > 0)}

    # Gaps stay as they are, so nothing else could.
    assert outputs_of(network, later)["risk"] == pytest.approx(outputs_of(network, TENSORS)["risk"], abs=1e-2)


# Keras 3.15 hands its variables to NumPy as NumPy 1 did.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_a_saved_network_is_read_back_exactly(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "network.keras")

    again = outputs_of(keras.saving.load_model(tmp_path / "network.keras"), TENSORS)

    assert again["risk"].tolist() == outputs_of(network, TENSORS)["risk"].tolist()


def test_one_pass_and_stepping_give_the_risk_after_every_event(network: keras.Model) -> None:
    per_event = build_network(CONFIG, VOCABULARY_SIZE, 0.02, FURTHER, is_per_event=True)
    per_event.set_weights(network.get_weights())
    stepper = Stepper(network, CONFIG, FURTHER)
    gaps = np.array([0, 60, 780, 0.5, 59.5], np.float32)

    in_one_pass = outputs_of(per_event, TENSORS)["risk"][0]
    state = stepper.initial_state(1)
    for k, gap in enumerate(gaps):
        at_event = {
            name: tf.constant(tensor[0, k : k + 1] if tensor.ndim == 2 else tensor[:1])
            for name, tensor in TENSORS.items()
        }
        at_event["scored_minute_of_week"] -= at_event["elapsed_minutes"]
        state, stepped = stepper.step(state, at_event["event_ids"], tf.constant([gap]), at_event)

        assert float(stepped["risk"][0, 0]) == pytest.approx(float(in_one_pass[k, 0]), abs=1e-6)

    assert in_one_pass[-1] == pytest.approx(outputs_of(network, TENSORS)["risk"][0], abs=1e-6)


def test_every_weight_learns_and_what_standardises_does_not(network: keras.Model) -> None:
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(output**2) for output in network(TENSORS, training=True).values()])
    gradients = tape.gradient(loss, network.trainable_variables)

    assert all(gradient is not None for gradient in gradients)
    fixed = {weight.path.removeprefix("sequence_risk/") for weight in network.non_trainable_variables}
    assert {path for path in fixed if "seed" not in path} == {
        f"{name}_standardised/{weight}" for name in ("amount", "age") for weight in ("mean", "scale")
    }


@pytest.mark.parametrize(("name", "members"), [("dense", 1), ("member_1", 2), ("mean_risk", 2)])
def test_an_input_called_as_a_part_of_the_network_is_refused(name: str, members: int) -> None:
    called = FittedInput(FurtherInput(name=name, kind="numeric", per="event", unit=None, default=None))

    with pytest.raises(ConfigError, match=rf"{name}.*Give the input another name"):
        build_network(CONFIG.model_copy(update={"members": members}), VOCABULARY_SIZE, 0.02, (called,))


def test_an_export_passes_the_gate_unless_an_input_is_missing(network: keras.Model, tmp_path: Path) -> None:
    vocabulary, platt = Vocabulary(["login", "pay", "browse", "refund"]), Platt(1.5, -0.5)
    of_sequence: dict[str, Any] = {"age": 30.0, "country": "DE", "scored_minute_of_week": 8_000.25}
    histories = [
        History(
            ("login", "unheard of", "refund"),
            (9_000.0, 60.5, 0.0),
            {"amount": (1.5, -3.0, 0.0), "channel": ("web", "fax", "app"), **of_sequence},
        ),
        History(("pay",), (0.0,), {"amount": (2e9,), "channel": ("app",), **of_sequence}),
    ]
    golden = record(histories, network, platt, vocabulary, 10, further=FURTHER)
    checked: dict[str, Any] = {
        "vocabulary": vocabulary.event_types,
        "max_events": 10,
        "golden_examples": golden,
        "further_inputs": tuple(one.declared for one in FURTHER),
    }

    write_saved_model(network, platt, tmp_path)

    check_artifact(tmp_path, Draft.model_construct(**checked))
    checked["further_inputs"] = checked["further_inputs"][:-1]
    with pytest.raises(GateError, match="Expected the signature"):
        check_artifact(tmp_path, Draft.model_construct(**checked))
