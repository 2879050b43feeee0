"""The program: a graph that XLA compiles for each shape it meets.

Program     the graph, compiled shape by shape
Programs    what was compiled so far in this process
trace       a signature -> a program
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.further_inputs import FurtherInput

Arrays = tuple[NDArray[Any], ...]


class Program:
    """A graph that XLA compiles once for each shape it first meets.

    Args:
        function: Takes arrays of any (batch, time).
        on_compile: Called after each call that had to compile.

    Attributes:
        quickest_seconds: By (batch, time), of what is compiled: the quickest timed call, whichever engine made it.
    """

    def __init__(self, function: tf.types.experimental.ConcreteFunction, on_compile: Callable[[], None]) -> None:
        self._function = function
        self._on_compile = on_compile
        self.quickest_seconds: dict[tuple[int, ...], float] = {}

    def __call__(self, arrays: Arrays, weights: Sequence[tf.Tensor]) -> NDArray[np.float32]:
        """Both risks of a batch, float32 (2, batch)."""
        # The operation a concrete function's own call ends in, without the 0.2 ms of Python in front of it.
        (risks,) = tf.raw_ops.StatefulPartitionedCall(args=[*arrays, *weights], Tout=[tf.float32], f=self._function)
        if arrays[0].shape not in self.quickest_seconds:
            self.quickest_seconds[arrays[0].shape] = math.inf
            self._on_compile()
        return risks.numpy()


Programs = dict[str, Program]
"""Programs by their graph. Weights are arguments of a program, so all versions with one graph share it.
None is ever dropped: TensorFlow would keep its code all the same, and compile it again."""


def trace(
    signature: tf.types.experimental.ConcreteFunction,
    device: str,
    names: Sequence[str],
    further: Sequence[FurtherInput],
    on_compile: Callable[[], None],
) -> Program:
    """A signature as a program of its inputs, by `names` in this order, with its weights as arguments behind them.

    It is traced for arrays of any shape, once: that takes 30 ms of Python, which a trace for each bucket would take as
    often, together with 4 MB, and XLA's cache on disk would know the same bucket by another name in every process.
    """
    axes = [2, 2, *(2 if one.per == "event" else 1 for one in further)]
    types = [signature.structured_input_signature[1][name].dtype for name in names]
    inputs = [tf.TensorSpec([None] * rank, dtype) for rank, dtype in zip(axes, types, strict=True)]
    weights = [tf.TensorSpec(weight.shape, weight.dtype) for weight in signature.captured_inputs]
    specification = (*inputs, *weights)
    outputs = sorted(signature.structured_outputs)
    output_types = [signature.structured_outputs[output].dtype for output in outputs]

    @tf.function(input_signature=specification, jit_compile=True, autograph=False)
    def compiled(*arguments: tf.Tensor) -> tf.Tensor:
        by_name, weights = dict(zip(names, arguments, strict=False)), arguments[len(names) :]
        # Below a signature is a function of its inputs, then its weights; inputs and outputs are in order of name.
        answers = tf.raw_ops.StatefulPartitionedCall(
            args=[*(by_name[name] for name in sorted(names)), *weights], Tout=output_types, f=signature
        )
        answer = dict(zip(outputs, answers, strict=True))
        # One tensor, so that one copy brings both back from the device.
        return tf.stack((answer["risk"], answer["auxiliary_risk"]))

    @tf.function(input_signature=specification, autograph=False)
    def placed(*arguments: tf.Tensor) -> tf.Tensor:
        with tf.device(device):
            return compiled(*arguments)

    return Program(placed.get_concrete_function(), on_compile)
