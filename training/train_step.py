"""The training step: batches in, the network's weights as many steps further."""

import os
from collections.abc import Callable, Mapping, Sequence
from math import exp
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.batches import LONGEST_RUN, Batch
from training.ensemble import members_of
from training.fit_config import FitConfig
from training.known_targets import TARGET_OF

Shape = tuple[int, int]
Tensors = dict[str, tf.Tensor]

# With XLA's fusion emitters a step of the benchmark compiles twice as long and takes up to four times as long. Flags of
# the user's come later, and win.
os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}"


class TrainStep:
    """Descends the loss of batches.

    Every label counts equally, however many a batch holds: with m labels known a step on average, a batch's loss is the
    sum of its labels' losses divided by m. So it is with every other target, each with an m of its own.

    Shapes that are worth it are compiled by XLA, each once, into a program that makes all steps of a run; the others
    share one graph, which is called for each.

    Args:
        network: What is trained.
        optimizer: Built for the network's trainable variables.
        losses: Of `network_losses`: means over the labels that are known.
        loss_weights: Of each.
        mean_known: m, by target.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.Optimizer,
        losses: Mapping[str, keras.losses.Loss],
        loss_weights: Mapping[str, float],
        mean_known: Mapping[str, float],
    ) -> None:
        self._network = network
        self._optimizer = optimizer
        self._losses = losses
        self._loss_weights = loss_weights
        self._mean_known = mean_known
        self._num_members = len(members_of(network))
        inputs = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in network.input.items()}
        targets = {TARGET_OF[name]: _target_spec(name, network.output[name]) for name in losses}
        shares = dict.fromkeys(targets, tf.TensorSpec((), tf.float32))
        self._graph = tf.function(self._descend, input_signature=[inputs, targets, shares])
        self._compiled: dict[Shape, Callable[..., tf.Tensor]] = {}

    @property
    def can_be_compiled(self) -> bool:
        """Whether XLA knows all of the network; on a GPU it does not know the cuDNN kernel, which is as fast."""
        return all(layer.supports_jit for member in members_of(self._network) for layer in member.layers)

    def compile(self, shape: Shape) -> None:
        """Have runs of batches of `shape` compiled, at the first of them."""
        self._compiled[shape] = tf.function(self._descend_run, jit_compile=True)

    def __call__(self, run: Sequence[Batch]) -> tf.Tensor:
        """Descend a step for each batch, all of one shape, at most `LONGEST_RUN`.

        Returns:
            The loss before each step, float32 (step,).
        """
        shares = [{name: n / self._mean_known[name] for name, n in batch.num_known.items()} for batch in run]
        compiled = self._compiled.get(run[0].shape)
        if compiled is None:
            constants = [{name: tf.constant(share, tf.float32) for name, share in of.items()} for of in shares]
            each = zip(run, constants, strict=True)
            return tf.stack([self._graph(batch.tensors, batch.targets, of_batch) for batch, of_batch in each])
        losses = compiled(
            tf.constant(len(run)),
            _stacked([batch.tensors for batch in run]),
            _stacked([batch.targets for batch in run]),
            _stacked([{name: np.float32(share) for name, share in of.items()} for of in shares]),
        )
        return losses[: len(run)]

    def _descend_run(self, num_steps: tf.Tensor, tensors: Tensors, targets: Tensors, shares: Tensors) -> tf.Tensor:
        def descend(step: tf.Tensor, losses: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = ({name: values[step] for name, values in of.items()} for of in (tensors, targets, shares))
            return step + 1, tf.tensor_scatter_nd_update(losses, [[step]], [self._descend(*batch)])

        return tf.while_loop(
            lambda step, _: step < num_steps, descend, (tf.constant(0), tf.zeros(LONGEST_RUN)), parallel_iterations=1
        )[1]

    def _descend(self, tensors: Tensors, targets: Tensors, shares: Tensors) -> tf.Tensor:
        loss, gradients = self._gradients(tensors, targets, shares)
        self._optimizer.apply(gradients, self._network.trainable_variables)
        return loss

    def _gradients(self, tensors: Tensors, targets: Tensors, shares: Tensors) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            outputs = self._network(tensors, training=True)
            losses = []
            for name, loss_of in self._losses.items():
                target = tf.concat([targets[TARGET_OF[name]]] * self._num_members, 0)
                losses.append(self._loss_weights[name] * shares[TARGET_OF[name]] * loss_of(target, outputs[name]))
            # A member's gradient is as large as if it were alone, and so as often clipped.
            loss = self._num_members * tf.add_n(losses)
        # A head without a loss, as of a target that is not given, stays where it is; TensorFlow makes no such zeros for
        # Keras' own variables.
        unused = tf.UnconnectedGradients.ZERO
        variables = [variable.value for variable in self._network.trainable_variables]
        gradients = tape.gradient(loss, variables, unconnected_gradients=unused)
        # An embedding's would be slices, one a place, whose norm is not that of their sum.
        return loss / self._num_members, [tf.convert_to_tensor(gradient) for gradient in gradients]


def _stacked(of_batches: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Of each name its arrays, (LONGEST_RUN, …): the last one fills what is missing, and is not descended by."""
    filled = [*of_batches, *[of_batches[-1]] * (LONGEST_RUN - len(of_batches))]
    return {name: np.stack([of_batch[name] for of_batch in filled]) for name in of_batches[0]}


def _target_spec(output: str, tensor: keras.KerasTensor) -> tf.TensorSpec:
    """Shape and type of the target of an output, which of ids is no logit an id but the id itself."""
    if TARGET_OF[output] == "next_event":
        return tf.TensorSpec((*tensor.shape[:-1], 1), tf.int32)
    return tf.TensorSpec(tensor.shape, tf.float32)


def create_optimizer(config: FitConfig, num_batches: int) -> keras.Optimizer:
    """Adam, each step also taking η λ w off every weight w (decoupled: Loshchilov & Hutter 2019, arXiv 1711.05101).

    With `average_epochs` E it keeps an average of the weights after every step, a ← m a + (1 - m) w, m = exp(-1 / (E
    batches)): those E passes old count for 1/e of the latest (after Kingma & Ba 2015, arXiv 1412.6980, §7.2).
    """
    momentum = exp(-1 / (config.average_epochs * num_batches)) if config.average_epochs else 0.0
    return keras.optimizers.Adam(
        config.learning_rate,
        weight_decay=config.weight_decay or None,
        clipnorm=1.0,
        use_ema=momentum > 0,
        ema_momentum=momentum,
    )
