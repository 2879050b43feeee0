"""The default network: event types and gaps through an LSTM to two logits.

event_ids ------- RandomUnknown - Embedding ---.
                                                Concatenate - LSTM -.- Dropout - Dense - Dense -> risk
elapsed_minutes - gaps - log1p ----------------'                    '- Dense ------------------> auxiliary_risk
"""

from typing import Any

import keras
from keras import ops

from models.sequences import PADDING_ID, UNKNOWN_ID
from training.config import NetworkConfig


def build_network(
    config: NetworkConfig, vocabulary_size: int, unknown_rate: float, *, is_portable: bool = False
) -> keras.Model:
    """Build the network, untrained and not compiled.

    Args:
        config: Its shape.
        vocabulary_size: Ids in use, padding and unknown included.
        unknown_rate: Share of events turned into the unknown event while training.
        is_portable: Keep off cuDNN kernels, which would tie a graph traced on a GPU host to GPUs.

    Returns:
        A model from `event_ids`, int32 (batch, time), and `elapsed_minutes`, float32 (batch, time), to the logits
        `risk` and `auxiliary_risk`, float32 (batch, 1).
    """
    event_ids = keras.Input((None,), dtype="int32", name="event_ids")
    elapsed_minutes = keras.Input((None,), dtype="float32", name="elapsed_minutes")
    # Handed to the LSTM, never left to propagate: Concatenate would turn it into all ones.
    mask = ops.not_equal(event_ids, PADDING_ID)

    events = keras.layers.Embedding(vocabulary_size, config.embedding_width, name="event_embedding")(
        RandomUnknown(unknown_rate, name="random_unknown")(event_ids)
    )
    if config.time == "log_gap":
        log_gaps = ops.log1p(gaps_minutes(elapsed_minutes, mask))
        events = keras.layers.Concatenate(name="event_and_gap")([events, ops.expand_dims(log_gaps, -1)])
    state = keras.layers.LSTM(config.lstm_units, use_cudnn=False if is_portable else "auto", name="lstm")(
        events, mask=mask
    )

    hidden = keras.layers.Dropout(config.dropout, name="dropout")(state)
    hidden = keras.layers.Dense(config.dense_units, activation="relu", name="dense")(hidden)
    risk = keras.layers.Dense(1, name="risk")(hidden)
    auxiliary_risk = keras.layers.Dense(1, name="auxiliary_risk")(state)
    return keras.Model(
        inputs={"event_ids": event_ids, "elapsed_minutes": elapsed_minutes},
        outputs={"risk": risk, "auxiliary_risk": auxiliary_risk},
        name="sequence_risk",
    )


def gaps_minutes(elapsed_minutes: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Minutes since the event before, float32 (batch, time); 0 at the first event.

    gap[k] = max(elapsed[k - 1] - elapsed[k], 0)

    Args:
        elapsed_minutes: float32 (batch, time), minutes before the scoring moment; anything where padded.
        mask: bool (batch, time), true at events.
    """
    # Padding may hold NaN, which no later multiplication by zero would remove.
    elapsed_minutes = ops.where(mask, elapsed_minutes, 0.0)
    gaps = ops.maximum(elapsed_minutes[:, :-1] - elapsed_minutes[:, 1:], 0.0)
    return ops.pad(gaps, ((0, 0), (1, 0)))


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
