"""The time-aware cell: one LSTM step over an event and the gap before it."""

from typing import Any, NotRequired, TypedDict

import keras
from keras import ops

from training.network_config import Decay, DecayOf
from training.time_gates import time_gate

States = list[keras.KerasTensor]


class CellOptions(TypedDict):
    """What all cells take beside their width; see `TimeAwareLSTMCell`."""

    decay: Decay
    decay_of: DecayOf
    decay_minutes: tuple[float, float]
    num_droppable: int
    dropout: NotRequired[float]
    recurrent_dropout: NotRequired[float]
    name: NotRequired[str]


@keras.saving.register_keras_serializable("seqrisk")
class TimeAwareLSTMCell(keras.layers.LSTMCell):
    """An LSTM cell whose state fades with the gap before an event, and whose dropout leaves time alone.

    A step takes [x ; d], float32 (batch, features + 1), the gap d in minutes last, or x alone without a decay:

        c ← g_c(d) c                                  a gate of training.time_gates
        h ← g_h(d) h                                  only where h decays too; its gate has weights of its own
        i = sigmoid(x W_i + h U_i + b_i), f, o alike  Hochreiter & Schmidhuber 1997, Neural Computation 9(8);
        c ← f c + i tanh(x W_g + h U_g + b_g)         Gers et al. 2000, Neural Computation 12(10)
        h ← o tanh(c)

    Without a decay of h, the gates see the state as it was after the event before.

    Args:
        units: Width of h and c.
        decay: Which gate; `none` makes it an ordinary LSTM cell.
        decay_of: States that fade.
        decay_minutes: Time scales the units start from, shortest and longest.
        num_droppable: First numbers of x that `dropout` may drop; the others tell time.
        options: As of `keras.layers.LSTMCell`.
    """

    def __init__(
        self,
        units: int,
        decay: Decay,
        decay_of: DecayOf,
        decay_minutes: tuple[float, float],
        num_droppable: int,
        **options: object,
    ) -> None:
        super().__init__(units, **options)
        self.decay: Decay = decay
        self.decay_of: DecayOf = decay_of
        # A list when read back from a file.
        self.decay_minutes = (decay_minutes[0], decay_minutes[1])
        self.num_droppable = num_droppable
        self.gate_of_c = None if decay == "none" else time_gate(decay, units, decay_minutes, "gate_of_c")
        self.gate_of_h = time_gate(decay, units, decay_minutes, "gate_of_h") if decay_of == "c_and_h" else None

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Create the LSTM's weights for x, and those of the gates."""
        batch, width = input_shape
        event_width = width - (self.decay != "none")
        for gate in (self.gate_of_c, self.gate_of_h):
            if gate is not None:
                gate.build((batch, event_width))
        super().build((batch, event_width + self.feedback_width))

    @property
    def feedback_width(self) -> int:
        """Numbers that stand between x and the LSTM's own weights."""
        return 0

    def call(
        self, inputs: keras.KerasTensor, states: States, training: bool = False
    ) -> tuple[keras.KerasTensor, States]:
        """One step.

        Args:
            inputs: float32 (batch, features + 1), or (batch, features) without a decay.
            states: [h, c], float32 (batch, units) each.
            training: Whether dropout is on.

        Returns:
            h, and [h, c].
        """
        event, states = self.decayed(inputs, states)
        return super().call(event, states, training=training)

    def decayed(self, inputs: keras.KerasTensor, states: States) -> tuple[keras.KerasTensor, States]:
        """The event without its gap, and [h, c] after that gap."""
        if self.gate_of_c is None:
            return inputs, states
        event, gap = inputs[:, :-1], inputs[:, -1:]
        h, c = states
        if self.gate_of_h is not None:
            h = self.gate_of_h(h, event, gap)
        return event, [h, self.gate_of_c(c, event, gap)]

    def get_dropout_mask(self, step_input: keras.KerasTensor) -> keras.KerasTensor | list[keras.KerasTensor] | None:
        """Keras' mask for the droppable numbers, and ones for the rest, whatever else `step_input` holds."""
        masks = super().get_dropout_mask(step_input[:, : self.num_droppable])
        kept = ((0, 0), (0, self.kernel.shape[0] - self.num_droppable))
        if isinstance(masks, list):
            return [ops.pad(mask, kept, constant_values=1) for mask in masks]
        return None if masks is None else ops.pad(masks, kept, constant_values=1)

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the cell again."""
        return {
            **super().get_config(),
            "decay": self.decay,
            "decay_of": self.decay_of,
            "decay_minutes": self.decay_minutes,
            "num_droppable": self.num_droppable,
        }
