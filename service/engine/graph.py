"""The graph of an artifact: its signature as the contract wants it, and whose fault it is if there is none.

SignatureError        the artifact does not answer as the contract says
GraphError            TensorFlow can make nothing of the artifact's graph
blaming_the_artifact  a block in which TensorFlow's errors over a graph are the artifact's
signature_of          the signature of a loaded artifact
digest_of             what signatures have in common that differ in numbers alone
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from service.artifact_fault import ArtifactFaultError
from service.graph_digest import graph_digest

_OUTPUTS = {"risk", "auxiliary_risk"}
# What TensorFlow says of a graph that it cannot read or compile. It has other words for a machine in trouble.
_GRAPH_FAULTS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.UnimplementedError,
    LookupError,
    TypeError,
    ValueError,
)


class SignatureError(ArtifactFaultError):
    """The artifact's serving signature is not the contract's."""


class GraphError(ArtifactFaultError):
    """TensorFlow can make nothing of the artifact's graph: it cannot be read, or not be compiled."""


@contextmanager
def blaming_the_artifact() -> Iterator[None]:
    """A block in which a graph is read or compiled.

    Raises:
        GraphError: TensorFlow found a fault in it, as opposed to one of the machine.
    """
    try:
        yield
    except (*_GRAPH_FAULTS, OSError) as error:
        # A machine in trouble gives a number; TensorFlow itself, over a file it cannot read, gives none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise GraphError(
            "Expected a graph that TensorFlow can load and compile. "
            f"Received: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        ) from error


def signature_of(model: tf.Module, directory: Path, expected: set[str]) -> tf.types.experimental.ConcreteFunction:
    """The signature `serving_default` of a loaded artifact.

    Args:
        model: As loaded.
        directory: Where from, for the error.
        expected: Its inputs by the contract.

    Raises:
        SignatureError: There is none, or with other inputs or outputs than the contract's.
    """
    signature = model.signatures.get("serving_default")
    if signature is None:
        raise SignatureError(f"Expected the signature serving_default in {directory}. Received: {[*model.signatures]}.")
    inputs, outputs = set(signature.structured_input_signature[1]), set(signature.structured_outputs)
    if inputs != expected or not outputs >= _OUTPUTS:
        raise SignatureError(
            f"Expected a signature from {sorted(expected)} to {sorted(_OUTPUTS)} in {directory}. "
            f"Received: from {sorted(inputs)} to {sorted(outputs)}."
        )
    return signature


def digest_of(signature: tf.types.experimental.ConcreteFunction) -> str:
    """A digest that is the same for two signatures if they differ in nothing but the values of their weights."""
    digest = graph_digest(signature.function_def, signature.graph.as_graph_def().library.function)
    shapes = [
        tf.raw_ops.VariableShape(input=weight).numpy().tolist() if weight.dtype == tf.resource else weight.shape
        for weight in signature.captured_inputs
    ]
    return f"{digest} {sorted(signature.structured_outputs)} {shapes}"
