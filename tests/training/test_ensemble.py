from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import formulas
from tests.training.architectures import ARCHITECTURES, GARBAGE, IDS, LENGTHS, MINUTES, network_of, outputs_of
from training.batches import Batch
from training.calibration import Platt
from training.config import ConfigError
from training.ensemble import members_of
from training.export import write_saved_model
from training.losses import network_losses
from training.network_config import NetworkConfig
from training.stepping import Stepper
from training.train_step import TrainStep

NUM_MEMBERS = 3
LABELS = np.array([[1.0], [0.0], [np.nan]], np.float32)
WEIGHTS = {"risk": 1.0, "auxiliary_risk": 0.2}


def ensemble(name: str) -> NetworkConfig:
    return ARCHITECTURES[name].model_copy(update={"members": NUM_MEMBERS})


@pytest.mark.parametrize("name", ["default", "everything", "softmax"])
def test_an_ensemble_answers_with_the_mean_of_its_members_equations(name: str) -> None:
    network = network_of(ensemble(name))

    received = outputs_of(network, IDS, MINUTES)

    assert len(members_of(network)) == NUM_MEMBERS
    for row, length in enumerate(LENGTHS):
        history = IDS[row, :length].tolist(), MINUTES[row, :length].tolist()
        each = [
            formulas.logits(ARCHITECTURES[name], formulas.weights_of(one, one.name), *history)
            for one in members_of(network)
        ]
        assert received.keys() == each[0].keys()
        for output, logits in received.items():
            assert logits[row] == pytest.approx(np.mean([one[output] for one in each], 0), abs=1e-5), output


def test_its_logits_do_not_depend_on_padding_and_are_those_of_every_prefix_in_one_pass() -> None:
    network, per_event = network_of(ensemble("default")), network_of(ensemble("default"), is_per_event=True)
    per_event.set_weights(network.get_weights())
    padding = ((0, 0), (0, 4))
    event_ids, minutes = np.pad(IDS, padding), np.pad(MINUTES, padding)
    minutes[event_ids == 0] = np.resize(GARBAGE, (event_ids == 0).sum())

    alone = outputs_of(network, IDS, MINUTES)["risk"]

    assert outputs_of(network, event_ids, minutes)["risk"] == pytest.approx(alone, abs=1e-6)
    each = outputs_of(per_event, IDS, MINUTES)["risk"]
    assert each[range(len(LENGTHS)), np.array(LENGTHS) - 1] == pytest.approx(alone, abs=1e-6)


# Keras 3.15 hands its variables to NumPy as NumPy 1 did.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_it_is_saved_and_read_back_exactly(tmp_path: Path) -> None:
    network = network_of(ensemble("everything"))
    network.save(tmp_path / "network.keras")

    again = outputs_of(keras.saving.load_model(tmp_path / "network.keras"), IDS, MINUTES)

    for output, logits in outputs_of(network, IDS, MINUTES).items():
        assert again[output].tolist() == logits.tolist()


def test_it_is_exported_as_one_graph(tmp_path: Path) -> None:
    network = network_of(ensemble("aggregates_input"), is_portable=True)

    write_saved_model(network, Platt(1.5, -0.5), tmp_path)

    loaded = tf.saved_model.load(str(tmp_path))
    compiled = tf.function(loaded.signatures["serving_default"], jit_compile=True, autograph=False)
    risks = compiled(event_ids=tf.constant(IDS), elapsed_minutes=tf.constant(MINUTES))["risk"].numpy()
    logits = outputs_of(network, IDS, MINUTES)["risk"][:, 0].astype(float)
    assert risks == pytest.approx(Platt(1.5, -0.5).risks(logits), abs=1e-6)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_every_member_learns_as_it_would_alone(is_compiled: bool) -> None:
    # Dropout would differ: each draws its own.
    plain = {"dropout": 0.0}
    network = network_of(ensemble("aggregates_head").model_copy(update=plain))
    alone = network_of(ARCHITECTURES["aggregates_head"].model_copy(update=plain))
    member = members_of(network)[1]
    alone.set_weights(member.get_weights())

    losses = [step(one, is_compiled=is_compiled) for one in (network, alone)]

    assert np.isfinite(losses).all()
    for together, by_itself in zip(member.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(together, by_itself, rtol=1e-4, atol=1e-6)


def test_an_ensemble_is_stepped_member_by_member() -> None:
    network = network_of(ensemble("default"))

    with pytest.raises(ConfigError, match="members_of"):
        Stepper(network, ensemble("default"))
    logits = []
    for member in members_of(network):
        stepper = Stepper(member, ARCHITECTURES["default"])
        _, stepped = stepper.step(stepper.initial_state(1), tf.constant(IDS[2, :1]), tf.constant([0.0]))
        logits.append(stepped["risk"].numpy())
    assert np.mean(logits, 0)[0] == pytest.approx(outputs_of(network, IDS, MINUTES)["risk"][2], abs=1e-6)


def step(network: keras.Model, *, is_compiled: bool) -> float:
    """One step down the gradient itself."""
    optimizer = keras.optimizers.SGD(learning_rate=0.1)
    optimizer.build(network.trainable_variables)
    train_step = TrainStep(network, optimizer, network_losses(NetworkConfig()), WEIGHTS, {"label": 2.0})
    # No event of the batch is turned unknown: that is drawn, too.
    for one in members_of(network):
        one.get_layer("random_unknown").rate = 0.0
    batch = Batch({"event_ids": IDS, "elapsed_minutes": MINUTES}, {"label": LABELS})
    if is_compiled:
        train_step.compile(batch.shape)
    return float(train_step([batch])[0])
