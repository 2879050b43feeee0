"""Further inputs in the network: from their tensors to numbers beside an event's embedding.

further_tensors     the network's inputs for them
further_channels    those inputs -> what is concatenated to every event
further_layers      the layers they need
further_row         the same for a single event, with the network's layers
Standardised        numbers of any size as numbers near 0
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, pi, sqrt
from typing import Any

import keras
from keras import ops

from models.further_inputs import MINUTES_PER_WEEK
from models.sequences import FIRST_EVENT_TYPE_ID
from training.dropouts import RandomUnknown
from training.further_inputs import FittedInput
from training.input_config import Transform

# Beyond so many standard deviations a number says no more than that it is large.
LARGEST_STANDARDISED = 10.0
_WIDEST_EMBEDDING = 16
_MINUTES_PER_DAY = 1_440
_CLOCK_WIDTH = 4

Tensors = dict[str, keras.KerasTensor]


def further_tensors(fitted: Sequence[FittedInput]) -> Tensors:
    """The network's further inputs, by name: (batch, time) or (batch,)."""
    return {
        one.declared.name: keras.Input(
            (None,) if one.declared.per == "event" else (), dtype=one.declared.dtype, name=one.declared.name
        )
        for one in fitted
    }


def further_layers(fitted: Sequence[FittedInput]) -> dict[str, keras.layers.Layer]:
    """New layers for the inputs, by name."""
    layers: list[keras.layers.Layer] = []
    for one in fitted:
        name = one.declared.name
        if one.declared.kind == "numeric":
            layers.append(Standardised(one.transform, one.mean, one.scale, name=f"{name}_standardised"))
        elif one.declared.kind == "categorical":
            num_ids = len(one.declared.categories) + FIRST_EVENT_TYPE_ID
            layers.append(keras.layers.Embedding(num_ids, _embedding_width(one), name=f"{name}_embedding"))
    return {layer.name: layer for layer in layers}


def further_channels(
    fitted: Sequence[FittedInput],
    tensors: Mapping[str, keras.KerasTensor],
    mask: keras.KerasTensor,
    unknown_rate: float,
) -> list[keras.KerasTensor]:
    """What is concatenated to every event's embedding, each float32 (batch, time, width).

        number      clip((f(x) - mean) / scale), f(x) = x or sign(x) log(1 + |x|)
        category    an embedding of min(16, ⌈√(ids)⌉) numbers
        clock       sin and cos of the event's hour of day and of its hour of week; its minute of the week is
                    (minute of the scoring moment - elapsed minutes) mod 10,080

    What is known of a whole sequence is repeated at each of its events, as `constants` were.

    Args:
        fitted: Which inputs.
        tensors: All inputs of the network, by name; anything where padded.
        mask: bool (batch, time), true at events.
        unknown_rate: Share of categories turned unknown while training.
    """
    values: Tensors = {}
    for one in fitted:
        name = one.declared.name
        value = tensors[name]
        if one.declared.kind == "categorical":
            # Before it is repeated: a sequence has one category.
            value = RandomUnknown(unknown_rate, name=f"{name}_random_unknown")(value)
        if one.declared.per == "sequence":
            value = ops.expand_dims(value, -1)
        if one.declared.kind == "clock":
            value = value - tensors["elapsed_minutes"]
        # Padding may hold NaN, or ids that no embedding has.
        values[name] = ops.where(mask, value, ops.zeros_like(value))
    return further_row(further_layers(fitted).__getitem__, fitted, values)


def further_row(
    layer: Callable[[str], keras.layers.Layer], fitted: Sequence[FittedInput], values: Mapping[str, keras.KerasTensor]
) -> list[keras.KerasTensor]:
    """The channels of events, each float32 (…, width).

    Args:
        layer: A layer by its name.
        fitted: Which inputs.
        values: Of each input its value at the event, (…); of the clock the event's minute of the week, give or take
            whole weeks.
    """
    channels = []
    for one in fitted:
        name = one.declared.name
        match one.declared.kind:
            case "numeric":
                channels.append(ops.expand_dims(layer(f"{name}_standardised")(values[name]), -1))
            case "categorical":
                channels.append(layer(f"{name}_embedding")(values[name]))
            case "clock":
                channels.append(_clock(values[name]))
    return channels


def further_width(fitted: Sequence[FittedInput]) -> int:
    """Numbers of all channels together."""
    return sum(_width(one) for one in fitted)


def _width(one: FittedInput) -> int:
    match one.declared.kind:
        case "categorical":
            return _embedding_width(one)
        case "clock":
            return _CLOCK_WIDTH
    return 1


def _embedding_width(one: FittedInput) -> int:
    return min(_WIDEST_EMBEDDING, ceil(sqrt(len(one.declared.categories) + FIRST_EVENT_TYPE_ID)))


def _clock(minutes: keras.KerasTensor) -> keras.KerasTensor:
    """Sine and cosine of the time of day and of the week, float32 (…, 4), of minutes of any number of weeks."""
    for num_weeks in (64, 1):
        # In two steps, each of which float32 can do exactly, so that every device gives the same for ages, too.
        period = float(num_weeks * MINUTES_PER_WEEK)
        minutes = minutes - ops.floor(minutes / period) * period
    of_day, of_week = (2 * pi / period * minutes for period in (_MINUTES_PER_DAY, MINUTES_PER_WEEK))
    return ops.stack([ops.sin(of_day), ops.cos(of_day), ops.sin(of_week), ops.cos(of_week)], -1)


@keras.saving.register_keras_serializable("seqrisk")
class Standardised(keras.layers.Layer):
    """clip((f(x) - mean) / scale, -10, 10), f(x) = x or sign(x) log(1 + |x|).

    Mean and scale are weights that no training changes, so that versions which differ in them alone share one graph.

    Args:
        transform: f.
        mean: Of f(x).
        scale: Its standard deviation.
        options: As of every Keras layer.
    """

    def __init__(self, transform: Transform, mean: float, scale: float, **options: object) -> None:
        super().__init__(**options)
        self.transform: Transform = transform
        self.mean_at_first = mean
        self.scale_at_first = scale

    def build(self, _: tuple[int | None, ...]) -> None:
        """Create both weights."""
        for name, value in (("mean", self.mean_at_first), ("scale", self.scale_at_first)):
            initializer = keras.initializers.Constant(value)
            setattr(self, name, self.add_weight(shape=(), initializer=initializer, trainable=False, name=name))

    def call(self, numbers: keras.KerasTensor) -> keras.KerasTensor:
        """Numbers, float32 of any shape, near 0."""
        if self.transform == "log1p":
            numbers = ops.sign(numbers) * ops.log1p(ops.abs(numbers))
        return ops.clip((numbers - self.mean) / self.scale, -LARGEST_STANDARDISED, LARGEST_STANDARDISED)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the numbers given."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the layer again."""
        return {
            **super().get_config(),
            "transform": self.transform,
            "mean": self.mean_at_first,
            "scale": self.scale_at_first,
        }
