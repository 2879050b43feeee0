"""The heads: from the recurrent state to logits.

add_heads          onto a network that is being built
apply_heads        the same layers, found by name, on any state
PriorCorrection    takes a weighted loss's shift out of a logit
"""

from collections.abc import Callable
from math import log
from typing import Any

import keras
from keras import ops

from training.dropouts import drop_state
from training.network_config import NetworkConfig

Logits = dict[str, keras.KerasTensor]


def add_heads(
    config: NetworkConfig,
    vocabulary_size: int,
    state: keras.KerasTensor,
    aggregates: keras.KerasTensor | None,
    *,
    is_per_event: bool,
) -> Logits:
    """Create the heads' layers and apply them.

    Args:
        config: Which heads.
        vocabulary_size: Ids in use, padding and unknown included.
        state: float32 (batch, units) or (batch, time, units).
        aggregates: float32 (batch, width) or (batch, time, width), for the head that reads them.
        is_per_event: Whether there is a time axis.

    Returns:
        As `apply_heads`.
    """
    layers = {
        layer.name: layer
        for layer in (
            drop_state(config, is_per_event=is_per_event),
            keras.layers.Dense(config.dense_units, activation="relu", name="dense"),
            keras.layers.Dense(2 if config.risk_head == "softmax" else 1, name="risk"),
            keras.layers.Dense(1, name="auxiliary_risk"),
        )
    }
    if config.num_labels > 1:
        layers["further_risks"] = keras.layers.Dense(config.num_labels - 1, name="further_risks")
    if config.auxiliary_target == "next_event":
        layers["next_event"] = keras.layers.Dense(vocabulary_size, name="next_event")
    elif config.auxiliary_target == "minutes_to_next_event":
        layers["minutes_to_next_event"] = keras.layers.Dense(1, name="minutes_to_next_event")
    for output, weights in _positive_weights(config).items():
        name = f"{output}_prior"
        layers[name] = PriorCorrection(weights, name=name)
    return apply_heads(layers.__getitem__, config, state, aggregates)


def apply_heads(
    layer: Callable[[str], keras.layers.Layer],
    config: NetworkConfig,
    state: keras.KerasTensor,
    aggregates: keras.KerasTensor | None,
) -> Logits:
    """Logits of a state.

        u = relu([Dropout(h) ; A] W + b)
        risk            = u w + b                 sigmoid(1)
                        = l_1 - l_0, l = u W + b  softmax(2): softmax(l)_1 = sigmoid(l_1 - l_0)
        further_risks   = u W + b                 the labels after the first, each a sigmoid of its own
        auxiliary_risk  = h v + b
        next_event      = h V + b                 softmax over ids
        minutes_to_next_event = h v + b           an estimate of log(1 + minutes)

    With another auxiliary target than the label, the auxiliary risk still learns to read the label off the state, which
    it no longer shapes: no gradient of it passes.

    Args:
        layer: A layer by its name.
        config: Which heads.
        state: float32 (…, units), h.
        aggregates: float32 (…, width), A, where the head reads them.

    Returns:
        `risk`, `auxiliary_risk`, float32 (…, 1), and where configured `further_risks`, (…, labels - 1), `next_event`,
        (…, ids), or `minutes_to_next_event`, (…, 1).
    """
    hidden = layer("dropout")(state)
    if aggregates is not None:
        hidden = ops.concatenate([hidden, aggregates], -1)
    hidden = layer("dense")(hidden)
    logits = {"risk": layer("risk")(hidden)}
    if config.risk_head == "softmax":
        logits["risk"] = logits["risk"][..., 1:] - logits["risk"][..., :1]
    read = state if config.auxiliary_target == "label" else ops.stop_gradient(state)
    logits["auxiliary_risk"] = layer("auxiliary_risk")(read)
    if config.num_labels > 1:
        logits["further_risks"] = layer("further_risks")(hidden)
    if config.auxiliary_target != "label":
        logits[config.auxiliary_target] = layer(config.auxiliary_target)(state)
    for output in _positive_weights(config):
        logits[output] = layer(f"{output}_prior")(logits[output])
    return logits


@keras.saving.register_keras_serializable("seqrisk")
class PriorCorrection(keras.layers.Layer):
    """z - ln w, but for training, whose loss weights label 1 by w and so learns logits that are too large by ln w.

    The prior correction of King & Zeng 2001 (Political Analysis 9(2), §4.1) for weights instead of sampling.

    Args:
        positive_weights: w, one a logit.
        options: As of every Keras layer.
    """

    def __init__(self, positive_weights: tuple[float, ...], **options: object) -> None:
        super().__init__(**options)
        self.supports_masking = True
        self.positive_weights = tuple(positive_weights)

    def call(self, logits: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Logits, float32 (…, logits), as trained or as they should be."""
        return logits if training else logits - ops.convert_to_tensor([log(weight) for weight in self.positive_weights])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the logits given."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the layer again."""
        return {**super().get_config(), "positive_weights": self.positive_weights}


def _positive_weights(config: NetworkConfig) -> dict[str, tuple[float, ...]]:
    """Weights of label 1 of the outputs that have any but 1."""
    first, *others = config.label_weights
    weights = {
        "risk": (first,),
        "auxiliary_risk": (config.auxiliary_positive_weight,),
        "further_risks": tuple(others),
    }
    return {output: of_output for output, of_output in weights.items() if set(of_output) - {1.0}}
