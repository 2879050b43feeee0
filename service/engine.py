"""The engine: one loaded artifact on one device, compiled for fixed shapes. The service's only TensorFlow import.

DeviceError           the device asked for is not there
SignatureError        the artifact does not answer as the contract says
UnknownBucketError    nothing is compiled for these arrays
Engine                the artifact, compiled
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

# TensorFlow reads this while it is imported; its C++ log lines are not ours and would break structured logs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from service.buckets import Buckets
from service.settings import SettingsError

_INPUTS = {"event_ids", "elapsed_minutes"}
_OUTPUTS = {"risk", "auxiliary_risk"}

logger = logging.getLogger(__name__)

_Program = Callable[[NDArray[np.int32], NDArray[np.float32]], NDArray[np.float32]]


class DeviceError(SettingsError):
    """The device asked for is not there."""


class SignatureError(RuntimeError):
    """The artifact's serving signature is not the contract's."""


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
        compile_cache_directory: Where compiled programs outlive the process; None keeps none.
        on_compile: Called each time a program is traced, so that a count of it proves that no request ever compiles.

    Raises:
        DeviceError: `device` is `gpu` and there is none.
        SignatureError: The signature has other inputs or outputs than the contract's.
    """

    def __init__(
        self,
        directory: Path,
        *,
        device: Literal["auto", "cpu", "gpu"],
        buckets: Buckets,
        slots: int,
        compile_cache_directory: Path | None = None,
        on_compile: Callable[[], None],
    ) -> None:
        _configure_process(slots, compile_cache_directory)
        self._device = _choose_device(device)
        self._buckets = buckets
        self._slots = slots
        self._on_compile = on_compile
        with tf.device(self._device):
            # Holds the weights: the signature refers to them weakly.
            self._model = tf.saved_model.load(str(directory))
        self._signature = _signature(self._model, directory)
        self._programs: dict[tuple[int, ...], _Program] = {}

    def warm_up(self, on_progress: Callable[[int], None]) -> None:
        """Compile every bucket and run it once, several side by side: XLA compiles without the GIL.

        Args:
            on_progress: Called from any thread with the number of buckets ready; what it raises ends the warm-up.
        """
        shapes: SimpleQueue[tuple[int, int]] = SimpleQueue()
        for shape in self._buckets.shapes:
            shapes.put(shape)
        faults: list[BaseException] = []

        def compile_next() -> None:
            try:
                while not faults:
                    batch, time = shapes.get_nowait()
                    self._programs[batch, time] = self._compile(batch, time)
                    on_progress(len(self._programs))
            except Empty:
                pass
            except BaseException as fault:
                faults.append(fault)

        # Daemons: the end of the process must not wait for compilations nobody needs any more.
        threads = [threading.Thread(target=compile_next, name="compile", daemon=True) for _ in range(self._slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]

    def run(
        self, event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score one batch. Any number of threads may call; the GIL is released while the device works.

        Args:
            event_ids: int32 (batch, time), exactly a bucket's shape, at least one event in each row.
            elapsed_minutes: float32 (batch, time).

        Returns:
            Risk and auxiliary risk, both float32 (batch,).

        Raises:
            UnknownBucketError: The arrays differ in shape, or theirs is no warm bucket's.
        """
        program = self._programs.get(event_ids.shape)
        if program is None or elapsed_minutes.shape != event_ids.shape:
            raise UnknownBucketError(
                f"Expected two arrays of the shape of a warm bucket, one of {sorted(self._programs)}. "
                f"Received: {event_ids.shape} and {elapsed_minutes.shape}."
            )
        risk, auxiliary_risk = program(event_ids, elapsed_minutes)
        return risk, auxiliary_risk

    def _compile(self, batch: int, time: int) -> _Program:
        specification = (tf.TensorSpec((batch, time), tf.int32), tf.TensorSpec((batch, time), tf.float32))

        @tf.function(input_signature=specification, jit_compile=True, autograph=False)
        def compiled(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> tf.Tensor:
            self._on_compile()
            answer = self._signature(event_ids=event_ids, elapsed_minutes=elapsed_minutes)
            # One tensor, so that one copy brings both back from the device.
            return tf.stack((answer["risk"], answer["auxiliary_risk"]))

        @tf.function(input_signature=specification, autograph=False)
        def placed(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> tf.Tensor:
            with tf.device(self._device):
                return compiled(event_ids, elapsed_minutes)

        function = placed.get_concrete_function()
        captured = list(function.captured_inputs)

        def program(event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]) -> NDArray[np.float32]:
            # The operation a concrete function's own call ends in, without the 0.2 ms of Python in front of it.
            (risks,) = tf.raw_ops.StatefulPartitionedCall(
                args=[event_ids, elapsed_minutes, *captured], Tout=[tf.float32], f=function
            )
            return risks.numpy()

        program(np.ones((batch, time), np.int32), np.zeros((batch, time), np.float32))
        return program


def _configure_process(slots: int, compile_cache_directory: Path | None) -> None:
    """Set what TensorFlow reads once, when it first does something."""
    if compile_cache_directory is not None:
        flag = f"--tf_xla_persistent_cache_directory={compile_cache_directory}"
        flags = os.environ.get("TF_XLA_FLAGS", "").split()
        os.environ["TF_XLA_FLAGS"] = " ".join([*(other for other in flags if other != flag), flag])
    # TF32 would round a GPU's products to 10 bits, far beyond the promised 1e-6.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        # Two threads in one batch gain nothing; batches side by side do.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(slots)
    except RuntimeError:
        logger.info("TensorFlow was in use before the engine; it keeps the threads it has.")


def _choose_device(device: Literal["auto", "cpu", "gpu"]) -> str:
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


def _signature(model: tf.Module, directory: Path) -> tf.types.experimental.ConcreteFunction:
    signature = model.signatures.get("serving_default")
    if signature is None:
        raise SignatureError(f"Expected the signature serving_default in {directory}. Received: {[*model.signatures]}.")
    inputs, outputs = set(signature.structured_input_signature[1]), set(signature.structured_outputs)
    if inputs != _INPUTS or not outputs >= _OUTPUTS:
        raise SignatureError(
            f"Expected a signature from {sorted(_INPUTS)} to {sorted(_OUTPUTS)} in {directory}. "
            f"Received: from {sorted(inputs)} to {sorted(outputs)}."
        )
    return signature
