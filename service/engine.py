"""The engine: one loaded artifact on one device, compiled for fixed shapes. The service's only TensorFlow import.

DeviceError           the device asked for is not there
SignatureError        the artifact does not answer as the contract says
GraphError            TensorFlow can make nothing of the artifact's graph
UnknownBucketError    nothing is compiled for these arrays
Programs              what was compiled so far in this process
choose_device         where an engine runs
Engine                the artifact, compiled
"""

# ruff: noqa: E402  what TensorFlow reads, and its library, come before its import

import logging
import math
import os
import threading
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

# TensorFlow reads this while it is imported; its C++ log lines are not ours and would break structured logs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Where it knows the processor, oneDNN announces itself all the same; it is for graphs that XLA does not compile.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# XLA's newer way to compile fused loops takes twice as long here, for programs that are no faster.
os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}"

from service.tensorflow_library import load_library

load_library()

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.further_inputs import FurtherInput
from service.artifact_fault import ArtifactFaultError
from service.buckets import Buckets
from service.graph_digest import graph_digest
from service.settings import SettingsError

_OUTPUTS = {"risk", "auxiliary_risk"}
_TIMED_CALLS = 5
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

logger = logging.getLogger(__name__)

Arrays = tuple[NDArray[Any], ...]


class _Program:
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
        # The operation a concrete function's own call ends in, without the 0.2 ms of Python in front of it.
        (risks,) = tf.raw_ops.StatefulPartitionedCall(args=[*arrays, *weights], Tout=[tf.float32], f=self._function)
        if arrays[0].shape not in self.quickest_seconds:
            self.quickest_seconds[arrays[0].shape] = math.inf
            self._on_compile()
        return risks.numpy()


Programs = dict[str, _Program]
"""Programs by their graph. Weights are arguments of a program, so all versions with one graph share it.
None is ever dropped: TensorFlow would keep its code all the same, and compile it again."""


class DeviceError(SettingsError):
    """The device asked for is not there."""


class SignatureError(ArtifactFaultError):
    """The artifact's serving signature is not the contract's."""


class GraphError(ArtifactFaultError):
    """TensorFlow can make nothing of the artifact's graph: it cannot be read, or not be compiled."""


class UnknownBucketError(ValueError):
    """Nothing is compiled for arrays of this shape, and nothing will be on a request."""


class Engine:
    """One loaded artifact on one device, compiled for every bucket by `warm_up`.

    The artifact stays portable: what XLA makes of it lives in this process alone (and in `compile_cache_directory`).

    Args:
        directory: A SavedModel with the contract's `serving_default`.
        device: `auto` takes a GPU if there is one; `cpu` leaves GPUs alone.
        buckets: The shapes to compile.
        slots: Calls that run side by side.
        programs: What engines before this one have compiled; added to. By default nothing. One engine at a time may
            warm up with it.
        compile_cache_directory: Where compiled programs outlive the process; None keeps none.
        on_compile: Called each time a shape is compiled, by whatever call: a count of it proves that no request ever is
            the one.
        further_inputs: What the artifact's manifest declares.

    Raises:
        DeviceError: `device` is `gpu` and there is none.
        SignatureError: The signature has other inputs or outputs than the contract's.
        GraphError: TensorFlow cannot load it; `warm_up` raises it where it cannot compile it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        device: Literal["auto", "cpu", "gpu"],
        buckets: Buckets,
        slots: int,
        programs: Programs | None = None,
        compile_cache_directory: Path | None = None,
        on_compile: Callable[[], None],
        further_inputs: Sequence[FurtherInput] = (),
    ) -> None:
        self._device = choose_device(device, compile_cache_directory)
        _configure_process(slots)
        self._buckets = buckets
        self._slots = slots
        self._on_compile = on_compile
        self._further = tuple(further_inputs)
        with tf.device(self._device), _blaming_the_artifact():
            model = tf.saved_model.load(str(directory))
        self._inputs = ("event_ids", "elapsed_minutes", *(one.name for one in self._further))
        self._signature = _signature(model, directory, set(self._inputs))
        # All that stays of the model: the rest is a few ten thousand objects in cycles, for the collector to take.
        self._weights = list(self._signature.captured_inputs)
        self._graph = f"{_graph(self._signature)} {self._inputs}"
        self._programs: Programs = {} if programs is None else programs
        self._warm_shapes: set[tuple[int, ...]] = set()

    def warm_up(self, on_progress: Callable[[int], None], *, num_threads: int | None = None) -> None:
        """Compile every bucket that is not yet compiled, and run each once. XLA compiles without the GIL.

        Args:
            on_progress: Called from any thread with the number of buckets ready; what it raises ends the warm-up.
            num_threads: Buckets compiled side by side; by default one a slot.
        """
        if self._graph not in self._programs:
            with _blaming_the_artifact():
                self._programs[self._graph] = _trace(
                    self._signature, self._device, self._inputs, self._further, self._on_compile
                )
        self._program = self._programs[self._graph]
        shapes: SimpleQueue[tuple[int, int]] = SimpleQueue()
        for shape in self._buckets.shapes:
            shapes.put(shape)
        faults: list[BaseException] = []

        def compile_next() -> None:
            try:
                while not faults:
                    shape = shapes.get_nowait()
                    with _blaming_the_artifact():
                        self._warm_up_bucket(*shape)
                    on_progress(len(self._warm_shapes))
            except Empty:
                pass
            except BaseException as fault:
                faults.append(fault)

        # Daemons: the end of the process must not wait for compilations nobody needs any more.
        num_threads = num_threads or self._slots
        threads = [threading.Thread(target=compile_next, name="compile", daemon=True) for _ in range(num_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        del self._signature

    def quick_rows(self, seconds: float) -> list[int]:
        """For each of the buckets' times, the largest warm batch that a call scores within `seconds`; else 0.

        What a program took at best counts, in this engine or one before: timed beside traffic, all would seem slow.
        """
        return [
            max(
                (batch for batch in self._buckets.batches_of(time) if self._call_seconds(batch, time) <= seconds),
                default=0,
            )
            for time in self._buckets.times
        ]

    def _call_seconds(self, batch: int, time: int) -> float:
        arrays = self._any_arrays(batch, time)
        # The quickest of a few: what else the machine does meanwhile is not the call's.
        seconds = min(timeit.repeat(lambda: self.run(*arrays), number=1, repeat=_TIMED_CALLS))
        quickest = self._program.quickest_seconds
        quickest[batch, time] = min(quickest[batch, time], seconds)
        return quickest[batch, time]

    def run(
        self, event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32], *further: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score one batch. Any number of threads may call; the GIL is released while the device works.

        Args:
            event_ids: int32 (batch, time), exactly a bucket's shape, at least one event in each row.
            elapsed_minutes: float32 (batch, time).
            *further: The further inputs in the manifest's order, (batch, time) or (batch,).

        Returns:
            Risk and auxiliary risk, both float32 (batch,).

        Raises:
            UnknownBucketError: The arrays differ in shape, or theirs is no warm bucket's.
        """
        is_shaped = event_ids.shape in self._warm_shapes and elapsed_minutes.shape == event_ids.shape
        if not is_shaped or (self._further and not self._are_shaped(further, *event_ids.shape)):
            shapes = [array.shape for array in (event_ids, elapsed_minutes, *further)]
            raise UnknownBucketError(
                "Expected arrays of the shape of a warm bucket, one of "
                f"{sorted(self._warm_shapes)}. Received: {shapes}."
            )
        risk, auxiliary_risk = self._program((event_ids, elapsed_minutes, *further), self._weights)
        return risk, auxiliary_risk

    def _warm_up_bucket(self, batch: int, time: int) -> None:
        # XLA compiles a shape when it first meets it.
        self._program(self._any_arrays(batch, time), self._weights)
        self._warm_shapes.add((batch, time))

    def _any_arrays(self, batch: int, time: int) -> Arrays:
        """Sequences of a bucket's shape: what is in them does not matter."""
        shapes = {"event": (batch, time), "sequence": (batch,)}
        further = (np.zeros(shapes[one.per], one.dtype) for one in self._further)
        return np.ones((batch, time), np.int32), np.zeros((batch, time), np.float32), *further

    def _are_shaped(self, further: Arrays, batch: int, time: int) -> bool:
        return [array.shape for array in further] == [
            (batch, time) if one.per == "event" else (batch,) for one in self._further
        ]


def _trace(
    signature: tf.types.experimental.ConcreteFunction,
    device: str,
    names: Sequence[str],
    further: Sequence[FurtherInput],
    on_compile: Callable[[], None],
) -> _Program:
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

    return _Program(placed.get_concrete_function(), on_compile)


@contextmanager
def _blaming_the_artifact() -> Iterator[None]:
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


def _configure_process(slots: int) -> None:
    """Set what TensorFlow reads once, when it first does something."""
    # TF32 would round a GPU's products to 10 bits, far beyond the promised 1e-6.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        # Two threads in one batch gain nothing; batches side by side do.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(slots)
    except RuntimeError:
        logger.debug("TensorFlow is in use already, as beside another version; it keeps the threads it has.")


def choose_device(device: Literal["auto", "cpu", "gpu"], compile_cache_directory: Path | None = None) -> str:
    """The device an engine runs on, as TensorFlow calls it; whichever is not chosen is left alone.

    Args:
        device: As for `Engine`.
        compile_cache_directory: As for `Engine`; XLA reads it once, when somebody first looks for devices.

    Raises:
        DeviceError: `device` is `gpu` and there is none.
    """
    if compile_cache_directory is not None:
        flag = f"--tf_xla_persistent_cache_directory={compile_cache_directory}"
        flags = os.environ.get("TF_XLA_FLAGS", "").split()
        os.environ["TF_XLA_FLAGS"] = " ".join([*(other for other in flags if other != flag), flag])
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise DeviceError(
            "Wrong settings: SEQRISK_DEVICE: Expected a GPU that TensorFlow can use. Received: none. "
            "Set SEQRISK_DEVICE=auto, or install the GPU build and its driver."
        )
    if device == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return "/CPU:0"
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return "/GPU:0"


def _signature(model: tf.Module, directory: Path, expected: set[str]) -> tf.types.experimental.ConcreteFunction:
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


def _graph(signature: tf.types.experimental.ConcreteFunction) -> str:
    """A digest that is the same for two signatures if they differ in nothing but the values of their weights."""
    digest = graph_digest(signature.function_def, signature.graph.as_graph_def().library.function)
    shapes = [
        tf.raw_ops.VariableShape(input=weight).numpy().tolist() if weight.dtype == tf.resource else weight.shape
        for weight in signature.captured_inputs
    ]
    return f"{digest} {sorted(signature.structured_outputs)} {shapes}"
