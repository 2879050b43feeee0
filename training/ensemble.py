"""The ensemble: networks that differ in their first weights alone, and answer with the mean of their logits.

join_members  networks -> one that answers for all of them
members_of    the networks in one

After Lakshminarayanan et al. 2017 (arXiv 1612.01474, §2.4), with logits for probabilities: what single fits of little
data make up, their mean does not repeat.
"""

from collections.abc import Sequence

import keras
from keras import ops


def join_members(members: Sequence[keras.Model]) -> keras.Model:
    """One network of several with the same inputs and outputs.

    Args:
        members: The networks, each of another name.

    Returns:
        A model whose logits are the members' mean. While training it gives all of theirs, one member's batch after the
        other, (members * batch, …): each learns as it would alone.
    """
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name) for name, tensor in members[0].input.items()
    }
    answers = [member(inputs) for member in members]
    logits = {name: MeanLogits(name=f"mean_{name}")([answer[name] for answer in answers]) for name in answers[0]}
    return keras.Model(inputs, logits, name="sequence_risk")


def members_of(network: keras.Model) -> list[keras.Model]:
    """The networks joined in `network`; itself, if there are none."""
    return [layer for layer in network.layers if isinstance(layer, keras.Model)] or [network]


@keras.saving.register_keras_serializable("seqrisk")
class MeanLogits(keras.layers.Layer):
    """(z_1 + … + z_n) / n; while training z_1, …, z_n along the batch."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.supports_masking = True

    def call(self, logits: list[keras.KerasTensor], training: bool | None = None) -> keras.KerasTensor:
        """Logits, float32 (batch, …), or while training (members * batch, …)."""
        return ops.concatenate(logits, 0) if training else sum(logits[1:], logits[0]) / len(logits)

    def compute_mask(self, inputs: object, previous_mask: object) -> None:
        """None: the members' masks fit no longer, and losses know by their targets what is asked."""

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """The shape of one member's logits."""
        return tuple(input_shape[0])
