"""The export: network and calibration as one SavedModel that any TensorFlow serves on any device."""

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from keras import ops

from training.calibration import Platt
from training.config import TrainingConfig
from training.further_inputs import FittedInput
from training.network import build_network


def portable_copy(
    network: keras.Model, config: TrainingConfig, vocabulary_size: int, further: Sequence[FittedInput] = ()
) -> keras.Model:
    """The same network and weights, built so that no graph of it is bound to a GPU.

    Args:
        network: The trained network.
        config: What it was built from.
        vocabulary_size: What it was built for.
        further: Its further inputs.
    """
    unknown_rate = config.vocabulary.unknown_rate
    portable = build_network(config.network, vocabulary_size, unknown_rate, further, is_portable=True)
    portable.set_weights(network.get_weights())
    return portable


def write_saved_model(network: keras.Model, platt: Platt, directory: Path) -> None:
    """Write network and calibration with the signature `serving_default`, as models/README.md defines it.

    Args:
        network: Of `portable_copy`.
        platt: Calibration of the main output.
        directory: Where to; it may exist.
    """
    # Variables, not constants: versions that differ in numbers alone share one graph, and so compiled programs.
    slope = tf.Variable(platt.slope, dtype=tf.float32, trainable=False, name="slope")
    intercept = tf.Variable(platt.intercept, dtype=tf.float32, trainable=False, name="intercept")

    signature = {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in network.input.items()}

    @tf.function(input_signature=[signature])
    def serving_default(tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits = network(tensors, training=False)
        calibrated = slope * logits["risk"][:, 0] + intercept
        return {"risk": ops.sigmoid(calibrated), "auxiliary_risk": ops.sigmoid(logits["auxiliary_risk"][:, 0])}

    # The graph needs the weights and nothing else of Keras: no layers, no training state.
    module = tf.Module()
    module.weights = [*(weight.value for weight in network.weights), slope, intercept]
    tf.saved_model.save(module, str(directory), signatures={"serving_default": serving_default})
    # Always empty, and lost by whatever carries files only: git, object stores.
    (directory / "assets").rmdir()
