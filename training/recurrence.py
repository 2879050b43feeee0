"""The recurrent layers of a network, one on top of the other."""

import keras

from training.cells import CellOptions, TimeAwareLSTMCell
from training.dropouts import drop_between
from training.feedback import AttentionFeedbackCell, ProjectionFeedbackCell
from training.network_config import NetworkConfig


def layer_names(config: NetworkConfig) -> list[str]:
    """Names of the recurrent layers, from the events up."""
    return ["lstm", *(f"lstm_{layer}" for layer in range(2, config.lstm_layers + 1))]


def recur(
    config: NetworkConfig,
    events: keras.KerasTensor,
    gaps: keras.KerasTensor,
    mask: keras.KerasTensor,
    num_droppable: int,
    *,
    is_portable: bool,
    is_per_event: bool,
) -> keras.KerasTensor:
    """The top layer's state after each event, float32 (batch, time, units), or after the last, (batch, units).

    Args:
        config: Which cells, and how many layers.
        events: float32 (batch, time, width).
        gaps: float32 (batch, time), minutes since the event before.
        mask: bool (batch, time), true at events; padding leaves the state alone.
        num_droppable: First numbers of an event that dropout may drop.
        is_portable: Leave out what a serving graph must not have: cuDNN kernels, dropout's random numbers.
        is_per_event: Whether every event's state is needed.
    """
    states = events
    for number, name in enumerate(layer_names(config), start=1):
        if number > 1:
            states = drop_between(states, config, number)
        if config.decay != "none":
            states = keras.layers.Concatenate(name=f"{name}_and_gap")([states, keras.ops.expand_dims(gaps, -1)])
        is_top = number == config.lstm_layers
        layer = _layer(
            config,
            name,
            num_droppable=num_droppable if number == 1 else config.lstm_units,
            input_dropout=config.input_dropout if number == 1 and not is_portable else 0.0,
            is_portable=is_portable,
            return_sequences=is_per_event or not is_top,
        )
        # Handed over, never left to propagate: Concatenate would turn it into all ones.
        states = layer(states, mask=mask)
    return states


def _layer(
    config: NetworkConfig,
    name: str,
    *,
    num_droppable: int,
    input_dropout: float,
    is_portable: bool,
    return_sequences: bool,
) -> keras.layers.Layer:
    recurrent_dropout = 0.0 if is_portable else config.recurrent_dropout
    if config.decay == config.feedback == "none" and not input_dropout:
        return keras.layers.LSTM(
            config.lstm_units,
            recurrent_dropout=recurrent_dropout,
            use_cudnn=False if is_portable else "auto",
            return_sequences=return_sequences,
            name=name,
        )
    options: CellOptions = {
        "decay": config.decay,
        "decay_of": config.decay_of,
        "decay_minutes": config.decay_minutes,
        "num_droppable": num_droppable,
        "dropout": input_dropout,
        "recurrent_dropout": recurrent_dropout,
        "name": "cell",
    }
    if config.feedback == "none":
        cell = TimeAwareLSTMCell(config.lstm_units, **options)
    elif config.feedback == "projection":
        cell = ProjectionFeedbackCell(config.lstm_units, width=config.feedback_width, **options)
    else:
        cell = AttentionFeedbackCell(
            config.lstm_units, memory=config.feedback_memory, width=config.feedback_width, **options
        )
    return keras.layers.RNN(cell, return_sequences=return_sequences, name=name)
