from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.manifest import Draft
from models.sequences import Vocabulary
from tests.training import formulas
from tests.training.architectures import (
    ARCHITECTURES,
    CAUSAL,
    GARBAGE,
    IDS,
    LENGTHS,
    MINUTES,
    VOCABULARY_SIZE,
    network_of,
    outputs_of,
)
from training.calibration import Platt
from training.config import ConfigError
from training.export import write_saved_model
from training.gate import check_artifact
from training.golden import History, record
from training.network import build_network, gaps_minutes

# One of each family, and all of them together: compiling takes seconds.
COMPILED = ["softmax", "input_dependent_c_and_h", "aggregates_head", "everything"]

every_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


@pytest.fixture(scope="module")
def networks() -> dict[str, keras.Model]:
    """Each architecture once; no test changes a weight."""
    return {name: network_of(config) for name, config in ARCHITECTURES.items()}


@every_architecture
def test_a_network_computes_its_equations(networks: dict[str, keras.Model], name: str) -> None:
    config, network = ARCHITECTURES[name], networks[name]
    weights = formulas.weights_of(network)

    received = outputs_of(network, IDS, MINUTES)

    for row, length in enumerate(LENGTHS):
        expected = formulas.logits(config, weights, IDS[row, :length].tolist(), MINUTES[row, :length].tolist())
        assert received.keys() == expected.keys()
        for output, logits in expected.items():
            assert received[output][row] == pytest.approx(logits, abs=1e-5), output


@every_architecture
def test_padding_and_what_stands_in_it_never_change_a_logit(networks: dict[str, keras.Model], name: str) -> None:
    padding = ((0, 0), (0, 7))
    event_ids, minutes = np.pad(IDS, padding), np.pad(MINUTES, padding)
    minutes[event_ids == 0] = np.resize(GARBAGE, (event_ids == 0).sum())

    padded, unpadded = outputs_of(networks[name], event_ids, minutes), outputs_of(networks[name], IDS, MINUTES)

    for output, logits in unpadded.items():
        assert padded[output] == pytest.approx(logits, abs=1e-6), output


# Keras 3.15 hands its variables to NumPy as NumPy 1 did.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@every_architecture
def test_a_saved_network_is_read_back_exactly(networks: dict[str, keras.Model], name: str, tmp_path: Path) -> None:
    networks[name].save(tmp_path / "network.keras")

    again = outputs_of(keras.saving.load_model(tmp_path / "network.keras"), IDS, MINUTES)

    for output, logits in outputs_of(networks[name], IDS, MINUTES).items():
        assert again[output].tolist() == logits.tolist()


@pytest.mark.parametrize("name", CAUSAL)
def test_one_pass_gives_the_risk_of_every_prefix(networks: dict[str, keras.Model], name: str) -> None:
    per_event = network_of(CAUSAL[name], is_per_event=True)
    per_event.set_weights(networks[name].get_weights())

    # All prefixes of the first history as one batch, each scored at its last event.
    is_event = np.tri(5, dtype=bool)
    prefix_ids = np.where(is_event, IDS[0], 0)
    prefix_minutes = np.where(is_event, MINUTES[0] - MINUTES[0][:, None], 0).astype(np.float32)
    prefixes = outputs_of(networks[name], prefix_ids, prefix_minutes)

    for output, logits in outputs_of(per_event, IDS, MINUTES).items():
        assert logits[0] == pytest.approx(prefixes[output], abs=1e-6), output


@pytest.mark.parametrize("name", sorted(ARCHITECTURES.keys() - CAUSAL.keys()))
def test_minutes_that_change_with_every_event_allow_no_risk_after_each_in_one_pass(name: str) -> None:
    with pytest.raises(ConfigError, match=r'network\.time = "log_gap" or "none".*train on prefixes'):
        build_network(ARCHITECTURES[name], VOCABULARY_SIZE, 0.02, is_per_event=True)


def test_a_history_alone_has_the_logit_it_has_in_a_batch(networks: dict[str, keras.Model]) -> None:
    network = networks["default"]

    alone, together = outputs_of(network, IDS[2:, :1], MINUTES[2:, :1]), outputs_of(network, IDS, MINUTES)

    assert alone["risk"][0] == pytest.approx(together["risk"][2], abs=1e-6)


def test_without_time_the_minutes_do_not_matter(networks: dict[str, keras.Model]) -> None:
    sped_up, as_given = (outputs_of(networks["time_none"], IDS, factor * MINUTES) for factor in (7, 1))

    assert sped_up["risk"].tolist() == as_given["risk"].tolist()


def test_gaps_are_minutes_since_the_event_before_and_never_negative() -> None:
    minutes = tf.constant([[90.0, 60.0, 60.0, 0.0], [5.0, 8.0, np.nan, np.inf]])
    mask = tf.constant([[True] * 4, [True, True, False, False]])

    gaps = gaps_minutes(minutes, mask).numpy()

    assert gaps[0].tolist() == [0, 30, 0, 60]
    assert gaps[1, :2].tolist() == [0, 0]
    assert np.isfinite(gaps).all()


@every_architecture
def test_an_export_passes_the_gate_and_compiles_for_fixed_shapes(name: str, tmp_path: Path) -> None:
    config, vocabulary, platt = ARCHITECTURES[name], Vocabulary(["login", "pay", "browse", "refund"]), Platt(1.5, -0.5)
    histories = [
        History(("login", "pay", "unheard of", "refund"), (900.0, 840.0, 60.5, 0.0)),
        History(("pay", "pay"), (0.1, 0.0)),
        History(("browse",), (0.0,)),
    ]
    network = network_of(config, is_portable=True)
    golden = record(histories, network, platt, vocabulary, max_events=10)
    checked: dict[str, Any] = {"vocabulary": vocabulary.event_types, "max_events": 10, "golden_examples": golden}
    draft = Draft.model_construct(**checked)

    write_saved_model(network, platt, tmp_path)
    check_artifact(tmp_path, draft)

    if name not in COMPILED:
        return
    loaded = tf.saved_model.load(str(tmp_path))
    compiled = tf.function(loaded.signatures["serving_default"], jit_compile=True, autograph=False)
    served = compiled(event_ids=tf.constant(IDS), elapsed_minutes=tf.constant(MINUTES))
    risks = platt.risks(outputs_of(network, IDS, MINUTES)["risk"][:, 0].astype(float))
    assert served["risk"].numpy() == pytest.approx(risks, abs=1e-6)


@pytest.mark.parametrize("name", ["everything", "labels", "aggregates_head"])
def test_every_weight_learns(name: str) -> None:
    network = network_of(ARCHITECTURES[name])
    inputs = {"event_ids": tf.constant(IDS), "elapsed_minutes": tf.constant(MINUTES)}

    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(output**2) for output in network(inputs, training=True).values()])
    gradients = tape.gradient(loss, network.trainable_variables)

    for weight, gradient in zip(network.trainable_variables, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(tf.convert_to_tensor(gradient)).all(), weight.path
