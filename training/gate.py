"""The gate: a staged artifact is reloaded in a separate process without GPUs and must prove itself before publication.

run_gate        in the trainer: starts that process and waits for its word
check_artifact  in that process: every check, each a GateError if it fails
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow.types.experimental import ConcreteFunction

from models.further_inputs import FurtherInputs
from models.manifest import Draft
from models.sequences import PADDING_ID, Vocabulary, encode

TOLERANCE = 1e-6
EXTRA_PADDING = (1, 7, 50)
GARBAGE_NUMBERS = (float("nan"), float("inf"), -5.0, 1e9)
GARBAGE_IDS = (-1, 2**31 - 1)

# Operations for one kind of device, or that call back into the process they were traced in.
_BOUND = ("Cudnn", "Xla", "PyFunc", "EagerPyFunc")
_SOURCE = Path(__file__).resolve().parent.parent

Risks = dict[str, NDArray[np.float32]]


class GateError(RuntimeError):
    """A staged artifact failed a check; it is not published."""


def run_gate(staged: Path, draft: Draft) -> None:
    """Check `staged` in a fresh process that sees no GPU.

    Raises:
        GateError: A check failed, or the artifact could not even be loaded; nothing may be published.
    """
    finished = subprocess.run(  # noqa: S603 - this interpreter, this module
        [sys.executable, "-m", "training.gate", str(staged.resolve())],
        input=draft.model_dump_json(),
        cwd=_SOURCE,
        # Event types may be in any script, whatever the terminal speaks.
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if finished.returncode:
        reason = finished.stdout.strip() or (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise GateError(f"The export gate refused the artifact, nothing was published: {reason}")


def check_artifact(directory: Path, draft: Draft) -> None:
    """Check the SavedModel in `directory` against its draft.

    Raises:
        GateError: A check failed; the message says which and by how much.
    """
    _check_operations(directory)
    signature = tf.saved_model.load(str(directory)).signatures["serving_default"]
    _check_signature(signature, draft)
    _check_golden_examples(signature, draft)
    _check_padding(signature, draft)


def _check_operations(directory: Path) -> None:
    saved_model = SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    for meta_graph in saved_model.meta_graphs:
        graph = meta_graph.graph_def
        own = {function.signature.name for function in graph.library.function}
        for node in _nodes(graph):
            if node.op not in own and (node.op.startswith(_BOUND) or not hasattr(tf.raw_ops, node.op)):
                raise GateError(f"Expected operations every TensorFlow has. Received: {node.op} at {node.name}.")
            if node.device and "CPU" not in node.device:
                raise GateError(f"Expected no bond to a device. Received: {node.name} on {node.device}.")
            if node.attr["_XlaMustCompile"].b:
                raise GateError(f"Expected no forced XLA. Received: {node.name} must compile.")


def _nodes(graph: GraphDef) -> Iterator[NodeDef]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _check_signature(signature: ConcreteFunction, draft: Draft) -> None:
    _, inputs = signature.structured_input_signature
    received = {
        name: (spec.dtype, spec.shape.as_list()) for name, spec in (inputs | signature.structured_outputs).items()
    }
    expected = {
        "event_ids": (tf.int32, [None, None]),
        "elapsed_minutes": (tf.float32, [None, None]),
        "risk": (tf.float32, [None]),
        "auxiliary_risk": (tf.float32, [None]),
        **{
            one.name: (tf.as_dtype(one.dtype), [None, None] if one.per == "event" else [None])
            for one in draft.further_inputs
        },
    }
    if received != expected:
        raise GateError(f"Expected the signature {expected}. Received: {received}.")


def _check_golden_examples(signature: ConcreteFunction, draft: Draft) -> None:
    together = _score(signature, draft, slice(None))
    for name, risks in together.items():
        if not np.all(np.isfinite(risks) & (risks >= 0) & (risks <= 1)):
            raise GateError(f"Expected every {name} between 0 and 1. Received: {risks.tolist()}.")
        recorded = np.array([getattr(example, name) for example in draft.golden_examples])
        _check_equal(f"{name} of the reloaded model", risks, f"that of the model in memory, {recorded}", recorded)
    for index in range(len(draft.golden_examples)):
        alone = _score(signature, draft, slice(index, index + 1))
        for name, risks in together.items():
            _check_equal(f"{name} of example {index} alone", alone[name], "that in a batch", risks[index : index + 1])


def _check_padding(signature: ConcreteFunction, draft: Draft) -> None:
    unpadded = _score(signature, draft, slice(None))
    for num_columns in EXTRA_PADDING:
        padded = _score(signature, draft, slice(None), num_columns)
        for name, risks in unpadded.items():
            _check_equal(f"{name} with {num_columns} columns of padding", padded[name], "that without", risks)


def _score(signature: ConcreteFunction, draft: Draft, chosen: slice, num_columns: int = 0) -> Risks:
    """Risks of the chosen golden examples, padded by `num_columns` more than needed, with garbage in the padding."""
    examples = draft.golden_examples[chosen]
    encoded = encode(
        [example.event_types for example in examples],
        [example.elapsed_minutes for example in examples],
        Vocabulary(draft.vocabulary),
        draft.max_events,
    )
    encoded = FurtherInputs(draft.further_inputs).complete(encoded, [example.further for example in examples])
    padding = ((0, 0), (0, num_columns))
    tensors = {
        name: np.pad(tensor, padding) if tensor.ndim == 2 else tensor for name, tensor in encoded.tensors.items()
    }
    is_padding = tensors["event_ids"] == PADDING_ID
    for name, tensor in tensors.items():
        if num_columns and tensor.ndim == 2 and name != "event_ids":
            garbage = GARBAGE_NUMBERS if tensor.dtype == np.float32 else GARBAGE_IDS
            tensor[is_padding] = np.resize(np.array(garbage, tensor.dtype), int(is_padding.sum()))
    outputs = signature(**{name: tf.constant(tensor) for name, tensor in tensors.items()})
    return {name: output.numpy() for name, output in outputs.items()}


def _check_equal(what: str, received: NDArray[Any], reference: str, expected: NDArray[Any]) -> None:
    difference = np.max(np.abs(received - expected))
    if not difference <= TOLERANCE:
        raise GateError(f"Expected the {what} to equal {reference} within {TOLERANCE}. Received: off by {difference}.")


if __name__ == "__main__":
    try:
        check_artifact(Path(sys.argv[1]), Draft.model_validate_json(sys.stdin.buffer.read()))
    except GateError as error:
        sys.stdout.write(str(error))
        sys.exit(1)
