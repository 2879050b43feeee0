"""The network: event types and gaps through recurrent layers to logits.

event_ids -.- RandomUnknown - Embedding - dropouts -.
           '------------------------- aggregates ---|
further inputs - standardised or embedded ----------+- Concatenate - (Conv1D) - LSTM - heads -> risk, auxiliary_risk
elapsed_minutes - gaps -.- time --------------------'                         |
                        '-------------------------------------- (time gates) -'
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import keras
from keras import ops

from models.sequences import PADDING_ID
from training.aggregates import RunningAggregates
from training.config import ConfigError
from training.dropouts import RandomUnknown, drop_embeddings
from training.ensemble import join_members
from training.further_channels import further_channels, further_tensors
from training.further_inputs import FittedInput
from training.heads import add_heads
from training.network_config import NetworkConfig
from training.recurrence import recur


def build_network(
    config: NetworkConfig,
    vocabulary_size: int,
    unknown_rate: float,
    further: Sequence[FittedInput] = (),
    *,
    is_portable: bool = False,
    is_per_event: bool = False,
) -> keras.Model:
    """Build the network, untrained and not compiled.

    Networks of one configuration have the same weights in the same order, whatever the flags: `set_weights` moves them.
    With `config.members` above 1 it is so many networks, joined by `training.ensemble.join_members`.

    Args:
        config: Its parts.
        vocabulary_size: Ids in use, padding and unknown included.
        unknown_rate: Share of events, and of categories, turned into the unknown one while training.
        further: What it is told beside types and times.
        is_portable: Keep off cuDNN kernels, which would tie a graph traced on a GPU host to GPUs.
        is_per_event: Answer after every event rather than after the last one, so that one pass trains on all prefixes.

    Returns:
        A model from `event_ids`, int32 (batch, time), `elapsed_minutes`, float32 (batch, time), and the tensors of
        `training.further_channels` to the logits of
        `training.heads.apply_heads`, float32 (batch, …) or, per event, (batch, time, …).

    Raises:
        ConfigError: One pass cannot answer after every event, as elapsed minutes go in; or a further input is called
            as a part of the network is.
    """
    if is_per_event:
        require_causal(config)
    build = partial(
        _build_member,
        config,
        vocabulary_size,
        unknown_rate,
        further,
        is_portable=is_portable,
        is_per_event=is_per_event,
    )
    if config.members == 1:
        return build("sequence_risk")
    members = [build(f"member_{number}") for number in range(1, config.members + 1)]
    with _names_of_inputs():
        return join_members(members)


def _build_member(
    config: NetworkConfig,
    vocabulary_size: int,
    unknown_rate: float,
    further: Sequence[FittedInput],
    name: str,
    *,
    is_portable: bool,
    is_per_event: bool,
) -> keras.Model:
    event_ids = keras.Input((None,), dtype="int32", name="event_ids")
    elapsed_minutes = keras.Input((None,), dtype="float32", name="elapsed_minutes")
    inputs = {"event_ids": event_ids, "elapsed_minutes": elapsed_minutes, **further_tensors(further)}
    mask = ops.not_equal(event_ids, PADDING_ID)
    gaps = gaps_minutes(elapsed_minutes, mask)

    embedding = keras.layers.Embedding(vocabulary_size, config.embedding_width, name="event_embedding")
    seen_ids = RandomUnknown(unknown_rate, name="random_unknown")(event_ids)
    parts = [drop_embeddings(embedding(seen_ids), config), *time_channels(config, elapsed_minutes, gaps, mask)]
    parts += further_channels(further, inputs, mask, unknown_rate)
    for_head = None
    if config.aggregates:
        is_running = is_per_event or config.aggregates_into == "input"
        aggregate = RunningAggregates(
            config.aggregates, vocabulary_size, is_running, config.aggregate_pieces, name="aggregates"
        )
        aggregates = aggregate(seen_ids, gaps, elapsed_minutes, mask)
        if config.aggregate_width:
            # Hundreds of pieces would else be read by every gate of every unit.
            aggregates = keras.layers.Dense(config.aggregate_width, use_bias=False, name="narrow_aggregates")(
                aggregates
            )
        if config.aggregates_into == "input":
            parts.append(aggregates)
        else:
            for_head = aggregates

    events = keras.layers.Concatenate(name="event_and_gap")(parts) if len(parts) > 1 else parts[0]
    num_droppable = config.embedding_width
    if config.convolution_width:
        events = convolve(config, events, mask)
        num_droppable = config.convolution_filters
    state = recur(config, events, gaps, mask, num_droppable, is_portable=is_portable, is_per_event=is_per_event)
    logits = add_heads(config, vocabulary_size, state, for_head, is_per_event=is_per_event)
    with _names_of_inputs():
        return keras.Model(inputs, logits, name=name)


@contextmanager
def _names_of_inputs() -> Iterator[None]:
    """Where Keras makes a network of tensors, and refuses one whose parts are called alike."""
    try:
        yield
    except ValueError as error:
        # Every other name in it is ours, or Keras' own.
        raise ConfigError(
            f"Expected names of inputs that no part of the network has. Received: {error} Give the input another name, "
            "and its column as `column`."
        ) from error


def require_causal(config: NetworkConfig) -> None:
    """Refuse a network whose inputs change when a later event arrives.

    Raises:
        ConfigError: It is one.
    """
    if not config.is_causal:
        raise ConfigError(
            'Expected network.time = "log_gap" or "none", and no since_last among network.aggregates, for a risk after '
            f'every event in one pass. Received: "{config.time}" and {list(config.aggregates)}. Elapsed minutes change '
            "for all events when one arrives: train on prefixes instead."
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


def time_channels(
    config: NetworkConfig, elapsed_minutes: keras.KerasTensor, gaps: keras.KerasTensor, mask: keras.KerasTensor
) -> list[keras.KerasTensor]:
    """What is concatenated to the embedding, each float32 (batch, time, 1).

        elapsed      a_k, as it is
        log_elapsed  log(1 + a_k)
        log_gap      log(1 + d_k)
        both         log(1 + a_k), log(1 + d_k)

    A gate that reads log(1 + d) with weight -w multiplies its odds by (1 + d)^-w: a learned power of the time that has
    passed. Raw minutes have no such meaning and no bound, and saturate the gates.

    Args:
        config: Which of them.
        elapsed_minutes: a, float32 (batch, time); anything where padded.
        gaps: d, float32 (batch, time).
        mask: bool (batch, time), true at events.
    """
    channels = []
    if config.time in {"elapsed", "log_elapsed", "both"}:
        elapsed = ops.maximum(ops.where(mask, elapsed_minutes, 0.0), 0.0)
        channels.append(elapsed if config.time == "elapsed" else ops.log1p(elapsed))
    if config.time in {"log_gap", "both"}:
        channels.append(ops.log1p(gaps))
    return [ops.expand_dims(channel, -1) for channel in channels]


def convolve(config: NetworkConfig, events: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """relu(x_(k-w+1) W_1 + … + x_k W_w + b), float32 (batch, time, filters), x before the first event 0.

    A causal convolution (van den Oord et al. 2016, arXiv 1609.03499, §2.1) of width w; of width 1 a dense layer for
    each event (Lin et al. 2014, arXiv 1312.4400). Conv1D knows no mask: padding goes in as zeros, and the mask goes on
    to the recurrent layer by hand.

    Args:
        config: Width and number of filters.
        events: float32 (batch, time, width).
        mask: bool (batch, time), true at events.
    """
    events = ops.where(ops.expand_dims(mask, -1), events, 0.0)
    return keras.layers.Conv1D(
        config.convolution_filters, config.convolution_width, padding="causal", activation="relu", name="convolution"
    )(events)
