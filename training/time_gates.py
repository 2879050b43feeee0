"""Time gates: how a recurrent state fades over the minutes without an event.

Each gate takes a state, float32 (batch, units), the event that ends the gap, float32 (batch, features), and the gap d,
float32 (batch, 1), minutes; it returns the state that is left. It is built for the event's shape. A gate before the
step of an LSTM is a factor of its forget gate: (f g) c = f (g c).

time_gate              a gate by its name in the configuration
HyperbolicGate         1 / (1 + d / τ)
ExponentialGate        exp(-d / τ)
PowerGate              (1 + d / τ)^-p
InputDependentGate     exp(-rate(event) d)
ShortTermGate          T-LSTM: only the short-term part of the state fades
"""

from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np
from keras import ops

from training.network_config import Decay


def time_gate(decay: Decay, units: int, decay_minutes: tuple[float, float], name: str) -> keras.layers.Layer:
    """The gate called `decay`.

    Args:
        decay: Any but `none`.
        units: Width of the state.
        decay_minutes: Time scales τ the units start from, shortest and longest.
        name: Of the layer.
    """
    if decay == "t_lstm":
        return ShortTermGate(units, name=name)
    return _FADING[decay](units, decay_minutes, name=name)


@keras.saving.register_keras_serializable("seqrisk")
class LogSpacedRates(keras.initializers.Initializer):
    """Starts softplus(r) at rates 1/τ whose logarithms are evenly spaced, so that some unit fits any time scale.

    A bank of exponentials so spaced can rebuild other decays: 32 of them give 1/(1 + d) on [0, 100,000] minutes to a
    relative error of 1.7e-5.

    Args:
        decay_minutes: Shortest and longest τ, minutes.
    """

    def __init__(self, decay_minutes: tuple[float, float]) -> None:
        # A list when read back from a file.
        self.decay_minutes = (decay_minutes[0], decay_minutes[1])

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        """Raw rates r = softplus⁻¹(1/τ), of `shape` (units,)."""
        shortest, longest = self.decay_minutes
        rates = np.geomspace(1 / longest, 1 / shortest, shape[0])
        # log(exp(rate) - 1), for rates of any size.
        return ops.convert_to_tensor(rates + np.log(-np.expm1(-rates)), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the initializer again."""
        return {"decay_minutes": self.decay_minutes}


class _FadingGate(keras.layers.Layer, ABC):
    """A gate that multiplies each unit by a share g(d) in (0, 1] of its own; 1/τ = softplus(r), r learned per unit."""

    def __init__(self, units: int, decay_minutes: tuple[float, float], **options: object) -> None:
        super().__init__(**options)
        self.units = units
        self.decay_minutes = (decay_minutes[0], decay_minutes[1])

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create r, (units,)."""
        self.raw_rates = self.add_weight((self.units,), LogSpacedRates(self.decay_minutes), name="raw_rates")
        super().build(input_shape)

    def call(self, state: keras.KerasTensor, event: keras.KerasTensor, gap: keras.KerasTensor) -> keras.KerasTensor:
        """What is left of `state`, (batch, units)."""
        return self.kept(event, gap) * state

    @abstractmethod
    def kept(self, event: keras.KerasTensor, gap: keras.KerasTensor) -> keras.KerasTensor:
        """The share kept, g(d), (batch, units)."""

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the layer again."""
        return {**super().get_config(), "units": self.units, "decay_minutes": self.decay_minutes}


@keras.saving.register_keras_serializable("seqrisk")
class HyperbolicGate(_FadingGate):
    """g(d) = 1 / (1 + d / τ): the hyperbolic discount (Mazur 1987, in Quantitative Analyses of Behavior 5).

    Many short gaps forget far more than one long gap of the same sum: it depends on how finely events are logged.
    """

    def kept(self, event: keras.KerasTensor, gap: keras.KerasTensor) -> keras.KerasTensor:
        """The share kept, g(d), (batch, units)."""
        return 1 / (1 + ops.softplus(self.raw_rates) * gap)


@keras.saving.register_keras_serializable("seqrisk")
class ExponentialGate(_FadingGate):
    """g(d) = exp(-d / τ), as in GRU-D (Che et al. 2018, Scientific Reports 8:6085, eq. 10), one τ a unit.

    The only measurable family with g(a + b) = g(a) g(b): what is left depends on the sum of the gaps alone.
    """

    def kept(self, event: keras.KerasTensor, gap: keras.KerasTensor) -> keras.KerasTensor:
        """The share kept, g(d), (batch, units)."""
        return ops.exp(-ops.softplus(self.raw_rates) * gap)


@keras.saving.register_keras_serializable("seqrisk")
class PowerGate(_FadingGate):
    """g(d) = (1 + d / τ)^-p, p = softplus(s) learned per unit from 1: a heavy tail.

    After the power-law forget gate of Chien et al. 2021 (arXiv 2105.05944), with the gap in minutes for its steps.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create r and s, (units,) each."""
        # softplus(0.5413) = 1: the gate starts as the hyperbolic one.
        start = keras.initializers.Constant(float(np.log(np.expm1(1.0))))
        self.raw_powers = self.add_weight((self.units,), start, name="raw_powers")
        super().build(input_shape)

    def kept(self, event: keras.KerasTensor, gap: keras.KerasTensor) -> keras.KerasTensor:
        """The share kept, g(d), (batch, units)."""
        return ops.exp(-ops.softplus(self.raw_powers) * ops.log1p(ops.softplus(self.raw_rates) * gap))


@keras.saving.register_keras_serializable("seqrisk")
class InputDependentGate(_FadingGate):
    """g(d) = exp(-softplus(x W + r) d): the event x says how fast what was before it fades.

    The decay rate of the Neural Hawkes process (Mei & Eisner 2017, arXiv 1612.09328, eq. 5f), taken from the event
    that ends the gap. W starts at 0: the gate starts as the exponential one.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create r, (units,), and W, (features, units)."""
        self.kernel = self.add_weight((input_shape[-1], self.units), "zeros", name="kernel")
        super().build(input_shape)

    def kept(self, event: keras.KerasTensor, gap: keras.KerasTensor) -> keras.KerasTensor:
        """The share kept, g(d), (batch, units)."""
        return ops.exp(-ops.softplus(ops.matmul(event, self.kernel) + self.raw_rates) * gap)


@keras.saving.register_keras_serializable("seqrisk")
class ShortTermGate(keras.layers.Layer):
    """c* = c - s + s / ln(e + d), s = tanh(c W + b): the short-term part s fades, the rest stays.

    T-LSTM's decomposition (Baytas et al. 2017, KDD, doi 10.1145/3097983.3097997, §3.1). The other gate of that paper,
    1/d, has no bound for short gaps and is not offered.
    """

    def __init__(self, units: int, **options: object) -> None:
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create W, (units, units), and b, (units,)."""
        self.kernel = self.add_weight((self.units, self.units), "glorot_uniform", name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")
        super().build(input_shape)

    def call(self, state: keras.KerasTensor, event: keras.KerasTensor, gap: keras.KerasTensor) -> keras.KerasTensor:
        """What is left of `state`, (batch, units)."""
        short_term = ops.tanh(ops.matmul(state, self.kernel) + self.bias)
        return state - short_term + short_term / ops.log(np.e + gap)

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the layer again."""
        return {**super().get_config(), "units": self.units}


_FADING: dict[str, type[_FadingGate]] = {
    "hyperbolic": HyperbolicGate,
    "exponential": ExponentialGate,
    "power": PowerGate,
    "input_dependent": InputDependentGate,
}
