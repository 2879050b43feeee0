"""Feedback: what the network made of one event is part of its input at the next."""

from typing import Any, Unpack

import keras
from keras import ops

from training.cells import CellOptions, States, TimeAwareLSTMCell


@keras.saving.register_keras_serializable("seqrisk")
class ProjectionFeedbackCell(TimeAwareLSTMCell):
    """A time-aware cell that is fed a projection of its own last output: a Jordan network around an LSTM.

        h_k, c_k = LSTM([x_k ; y_(k-1)], h_(k-1), c_(k-1))
        y_k = tanh(h_k W + b),  y_0 = 0

    Jordan 1986, Serial order: a parallel distributed processing approach (ICS report 8604). States fade as in
    `TimeAwareLSTMCell`; y does not.

    Args:
        units: Width of h and c.
        width: Width of y.
        options: As of `TimeAwareLSTMCell`.
    """

    def __init__(self, units: int, *, width: int, **options: Unpack[CellOptions]) -> None:
        super().__init__(units, **options)
        self.width = width
        self.state_size = [units, units, width]

    @property
    def feedback_width(self) -> int:
        """Width of y."""
        return self.width

    @property
    def seen_width(self) -> int:
        """Width of what y is computed from."""
        return self.units

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Create the cell's weights, W and b."""
        self.feedback_kernel = self.add_weight((self.seen_width, self.width), "glorot_uniform", name="feedback_kernel")
        self.feedback_bias = self.add_weight((self.width,), "zeros", name="feedback_bias")
        super().build(input_shape)

    def call(
        self, inputs: keras.KerasTensor, states: States, training: bool = False
    ) -> tuple[keras.KerasTensor, States]:
        """One step.

        Args:
            inputs: float32 (batch, features + 1), or (batch, features) without a decay.
            states: [h, c, y, …], float32 (batch, units), (batch, units), (batch, width), …
            training: Whether dropout is on.

        Returns:
            h, and the states after the step.
        """
        h, c, fed_back, *memory = states
        event, states = self.decayed(inputs, [h, c])
        # Between the numbers that dropout may drop and those that tell time there is no room: y goes last.
        h, states = self.lstm_step(ops.concatenate([event, fed_back], -1), states, training)
        seen, memory = self.look(h, memory)
        return h, [*states, ops.tanh(ops.matmul(seen, self.feedback_kernel) + self.feedback_bias), *memory]

    def lstm_step(self, event: keras.KerasTensor, states: States, training: bool) -> tuple[keras.KerasTensor, States]:
        """The step of an ordinary LSTM cell."""
        return keras.layers.LSTMCell.call(self, event, states, training=training)

    def look(self, h: keras.KerasTensor, memory: States) -> tuple[keras.KerasTensor, States]:
        """What y is computed from, (batch, seen_width), and the memory after it."""
        return h, memory

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the cell again."""
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("seqrisk")
class AttentionFeedbackCell(ProjectionFeedbackCell):
    """A feedback cell that looks back, from its new state, at its latest m states.

        M_k = the latest m of h_1 … h_k
        a = softmax(M_k (h_k Q) / √units)
        y_k = tanh([h_k ; a M_k] W + b)

    Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, eq. 1) over a memory that does not grow, so
    that a step costs the same whatever the history. What stands in the memory does not fade.

    Args:
        units: Width of h and c.
        memory: Its m.
        width: Width of y.
        options: As of `TimeAwareLSTMCell`.
    """

    def __init__(self, units: int, *, memory: int, width: int, **options: Unpack[CellOptions]) -> None:
        super().__init__(units, width=width, **options)
        self.memory = memory
        # Each place holds a state and a 1 that tells it from an empty place.
        self.state_size = [*self.state_size, memory * (units + 1)]

    @property
    def seen_width(self) -> int:
        """Width of [h ; a M]."""
        return 2 * self.units

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Create the cell's weights, W, b and Q."""
        self.query_kernel = self.add_weight((self.units, self.units), "glorot_uniform", name="query_kernel")
        super().build(input_shape)

    def look(self, h: keras.KerasTensor, memory: States) -> tuple[keras.KerasTensor, States]:
        """[h ; a M], (batch, 2 units), and the memory with h in it."""
        (flat,) = memory
        flat = ops.concatenate([flat[:, self.units + 1 :], h, ops.ones_like(h[:, :1])], -1)
        places = ops.reshape(flat, (-1, self.memory, self.units + 1))
        states, is_filled = places[:, :, :-1], places[:, :, -1] > 0
        query = ops.matmul(h, self.query_kernel)[:, None]
        similarities = ops.sum(states * query, -1) / self.units**0.5
        # h itself is always there, so never all of them.
        attention = ops.softmax(ops.where(is_filled, similarities, -1e9))
        return ops.concatenate([h, ops.sum(attention[..., None] * states, 1)], -1), [flat]

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the cell again."""
        return {**super().get_config(), "memory": self.memory}
