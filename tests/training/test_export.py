from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.calibration import Platt, sigmoid
from training.config import TrainingConfig
from training.export import portable_copy, write_saved_model
from training.network import build_network

IDS = np.array([[2, 3, 4], [3, 0, 0]], np.int32)
MINUTES = np.array([[60.0, 5.0, 0.0], [0.0, 0.0, 0.0]], np.float32)


@pytest.fixture(scope="module")
def network(config: TrainingConfig) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_network(config.network, vocabulary_size=6, unknown_rate=0.02)


def test_the_portable_copy_has_the_same_logits_and_no_gpu_kernel(network: keras.Model, config: TrainingConfig) -> None:
    portable = portable_copy(network, config, vocabulary_size=6)

    inputs = {"event_ids": IDS, "elapsed_minutes": MINUTES}
    assert portable(inputs)["risk"].numpy() == pytest.approx(network(inputs)["risk"].numpy(), abs=1e-7)
    assert portable.get_layer("lstm").use_cudnn is False


def test_calibration_is_inside_the_graph(network: keras.Model, config: TrainingConfig, tmp_path: Path) -> None:
    write_saved_model(portable_copy(network, config, vocabulary_size=6), Platt(2.0, -1.0), tmp_path)

    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](
        event_ids=tf.constant(IDS), elapsed_minutes=tf.constant(MINUTES)
    )

    logits = network({"event_ids": IDS, "elapsed_minutes": MINUTES}, training=False)
    risk_logits, auxiliary_logits = (logits[name].numpy()[:, 0].astype(float) for name in ("risk", "auxiliary_risk"))
    assert served["risk"].numpy() == pytest.approx(sigmoid(2 * risk_logits - 1), abs=1e-6)
    assert served["auxiliary_risk"].numpy() == pytest.approx(sigmoid(auxiliary_logits), abs=1e-6)


def test_no_path_of_this_machine_is_written(network: keras.Model, config: TrainingConfig, tmp_path: Path) -> None:
    write_saved_model(portable_copy(network, config, vocabulary_size=6), Platt(2.0, -1.0), tmp_path)

    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert str(Path(__file__).parents[2]).encode() not in written
    assert str(tmp_path).encode() not in written
    assert b".py" not in written
