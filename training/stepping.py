"""Stepping: a network one event at a time, its state in the caller's hands.

A step equals the full pass: the risk after step k is that of the first k events (to 1e-6). Nothing is kept here between
two steps, so any number of sequences may be stepped, saved and gone on with, in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
from keras import ops

from training.aggregates import RunningAggregates, Totals
from training.config import ConfigError
from training.further_channels import further_row, further_width
from training.further_inputs import FittedInput
from training.heads import Logits, apply_heads
from training.network import require_causal
from training.network_config import NetworkConfig
from training.recurrence import layer_names


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered of sequences, however long they were.

    Attributes:
        recurrent: For each recurrent layer its cell's states, float32 (batch, …); h is the first.
        window: float32 (batch, convolution_width - 1, width), the latest inputs of the convolution, if there is one.
        totals: What the running aggregates need, if there are any.
    """

    recurrent: tuple[tuple[keras.KerasTensor, ...], ...]
    window: keras.KerasTensor | None
    totals: Totals | None


class Stepper:
    """Steps a network.

    Args:
        network: Of `build_network`; its weights are read at every step.
        config: What it was built from.
        further: Its further inputs.

    Raises:
        ConfigError: Its inputs change when an event arrives, or it has several members: it cannot be stepped.
    """

    def __init__(self, network: keras.Model, config: NetworkConfig, further: Sequence[FittedInput] = ()) -> None:
        require_causal(config)
        if config.members > 1:
            raise ConfigError(
                f"Expected a network of one member. Received: {config.members}. Step each of "
                "training.ensemble.members_of(network) with network.members = 1, and average their logits."
            )
        self._layer = network.get_layer
        self._config = config
        self._further = further
        self._recurrent = [self._layer(name) for name in layer_names(config)]
        self._aggregates: RunningAggregates | None = self._layer("aggregates") if config.aggregates else None

    def initial_state(self, batch: int) -> State:
        """The state of `batch` sequences before their first event."""
        width = self._input_width()
        num_earlier = self._config.convolution_width - 1
        return State(
            tuple(tuple(layer.cell.get_initial_state(batch_size=batch)) for layer in self._recurrent),
            ops.zeros((batch, num_earlier, width)) if self._config.convolution_width else None,
            None if self._aggregates is None else self._aggregates.first_totals(batch),
        )

    def step(
        self,
        state: State,
        event_ids: keras.KerasTensor,
        gap_minutes: keras.KerasTensor,
        further: Mapping[str, keras.KerasTensor] | None = None,
    ) -> tuple[State, Logits]:
        """Take in one event of each sequence.

        Args:
            state: After the event before.
            event_ids: int32 (batch,), no padding.
            gap_minutes: float32 (batch,), minutes since the event before, at least 0; 0 at the first event.
            further: Of each further input its value at the event, (batch,): of the clock the event's own minute of the
                week.

        Returns:
            The state after the event, and the logits of `training.heads.apply_heads`, (batch, …).
        """
        gap = gap_minutes[:, None]
        parts = [self._layer("event_embedding")(event_ids)]
        if self._config.time == "log_gap":
            parts.append(ops.log1p(gap))
        parts += further_row(self._layer, self._further, further or {})
        totals, for_head = state.totals, None
        if self._aggregates is not None and totals is not None:
            totals = self._aggregates.next_totals(totals, event_ids, gap)
            aggregates = self._aggregates.row(totals)
            if self._config.aggregate_width:
                aggregates = self._layer("narrow_aggregates")(aggregates)
            if self._config.aggregates_into == "input":
                parts.append(aggregates)
            else:
                for_head = aggregates

        event, window = ops.concatenate(parts, -1), state.window
        if window is not None:
            window = ops.concatenate([window, event[:, None]], 1)
            event, window = self._layer("convolution")(window)[:, -1], window[:, 1:]
        recurrent = []
        for layer, states in zip(self._recurrent, state.recurrent, strict=True):
            given = event if self._config.decay == "none" else ops.concatenate([event, gap], -1)
            event, states_after = layer.cell(given, list(states))
            recurrent.append(tuple(states_after))
        return State(tuple(recurrent), window, totals), apply_heads(self._layer, self._config, event, for_head)

    def _input_width(self) -> int:
        is_read = self._aggregates is not None and self._config.aggregates_into == "input"
        of_aggregates = self._config.aggregate_width or self._aggregates.width if self._aggregates and is_read else 0
        of_types_and_time = self._config.embedding_width + (self._config.time == "log_gap")
        return of_types_and_time + further_width(self._further) + of_aggregates
