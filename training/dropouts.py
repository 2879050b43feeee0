"""Dropout before, between and after the recurrent layers. None of it ever sees time.

Its shapes, for (batch, time, width), are those of Keras' `noise_shape`; kept numbers are scaled by 1 / (1 - rate).
Inside the recurrent layers it is `TimeAwareLSTMCell`'s and Keras' own.

RandomUnknown       events turned into the unknown event
drop_embeddings     elements, whole events, whole features
drop_between        features of a whole sequence
drop_state          what the main output reads
"""

from typing import Any

import keras
from keras import ops

from models.sequences import PADDING_ID, UNKNOWN_ID
from training.network_config import NetworkConfig

_Shape = tuple[int | None, ...]

# A mask of its own for each number; one a whole event; one a feature, common to all events of a sequence.
_PER_ELEMENT: _Shape = (None, None, None)
_PER_EVENT: _Shape = (None, None, 1)
_PER_FEATURE: _Shape = (None, 1, None)


def drop_embeddings(events: keras.KerasTensor, config: NetworkConfig) -> keras.KerasTensor:
    """Embedded events, float32 (batch, time, width), with what the configuration says left out.

    Single numbers: Srivastava et al. 2014, JMLR 15. Features of a whole sequence: spatial dropout, Tompson et al. 2015
    (arXiv 1411.4280), the same as the variational dropout of a recurrent layer's inputs. A dropped event is a vector of
    zeros, still an event; its gap stays. `RandomUnknown` turns it into a type instead, and is mostly the better choice.
    """
    for name, rate, shape in (
        ("element_dropout", config.element_dropout, _PER_ELEMENT),
        ("event_dropout", config.event_dropout, _PER_EVENT),
        ("feature_dropout", config.feature_dropout, _PER_FEATURE),
    ):
        if rate:
            events = keras.layers.Dropout(rate, noise_shape=shape, name=name)(events)
    return events


def drop_between(states: keras.KerasTensor, config: NetworkConfig, layer: int) -> keras.KerasTensor:
    """States of a recurrent layer, float32 (batch, time, units), as the layer number `layer` reads them."""
    if not config.between_dropout:
        return states
    name = f"between_dropout_{layer}"
    return keras.layers.Dropout(config.between_dropout, noise_shape=_PER_FEATURE, name=name)(states)


def drop_state(config: NetworkConfig, *, is_per_event: bool) -> keras.layers.Layer:
    """The layer before the main output: the same units at every event, as a sequence's last state has but one."""
    return keras.layers.Dropout(config.dropout, noise_shape=_PER_FEATURE if is_per_event else None, name="dropout")


@keras.saving.register_keras_serializable("seqrisk")
class RandomUnknown(keras.layers.Layer):
    """Turns a random share of events into the unknown event while training, and nothing otherwise.

    Without it the unknown event's embedding would stay as it was initialised: its types are rare by definition.

    Args:
        rate: Share of events replaced; padding stays padding.
        seed: Seed of the layer's own generator; by default drawn from Keras' global one.
        options: As of every Keras layer.
    """

    def __init__(self, rate: float, seed: int | None = None, **options: object) -> None:
        super().__init__(**options)
        self.rate = rate
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def call(self, event_ids: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        """Ids, int32 (batch, time), as given or with some replaced."""
        if not training:
            return event_ids
        is_replaced = keras.random.uniform(ops.shape(event_ids), seed=self._generator) < self.rate
        is_event = ops.not_equal(event_ids, PADDING_ID)
        return ops.where(ops.logical_and(is_replaced, is_event), UNKNOWN_ID, event_ids)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the ids given."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the layer again."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
