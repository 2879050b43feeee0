"""The engine itself: an artifact whose buckets are compiled before any request, and which scores a batch at a time."""

import threading
import timeit
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.further_inputs import FurtherInput
from service.buckets import Buckets
from service.engine.device import choose_device, configure_process
from service.engine.graph import blaming_the_artifact, digest_of, signature_of
from service.engine.program import Arrays, Programs, trace

_TIMED_CALLS = 5


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
        configure_process(slots)
        self._buckets = buckets
        self._slots = slots
        self._on_compile = on_compile
        self._further = tuple(further_inputs)
        with tf.device(self._device), blaming_the_artifact():
            model = tf.saved_model.load(str(directory))
        self._inputs = ("event_ids", "elapsed_minutes", *(one.name for one in self._further))
        self._signature = signature_of(model, directory, set(self._inputs))
        # All that stays of the model: the rest is a few ten thousand objects in cycles, for the collector to take.
        self._weights = list(self._signature.captured_inputs)
        self._graph = f"{digest_of(self._signature)} {self._inputs}"
        self._programs: Programs = {} if programs is None else programs
        self._warm_shapes: set[tuple[int, ...]] = set()

    def warm_up(self, on_progress: Callable[[int], None], *, num_threads: int | None = None) -> None:
        """Compile every bucket that is not yet compiled, and run each once. XLA compiles without the GIL.

        Args:
            on_progress: Called from any thread with the number of buckets ready; what it raises ends the warm-up.
            num_threads: Buckets compiled side by side; by default one a slot.
        """
        if self._graph not in self._programs:
            with blaming_the_artifact():
                self._programs[self._graph] = trace(
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
                    with blaming_the_artifact():
                        self._warm_up_bucket(*shape)
                    on_progress(len(self._warm_shapes))
            except Empty:
                pass
            except BaseException as fault:
                faults.append(fault)

        # Daemons: the end of the process must not wait for compilations nobody needs any more.
        num_threads = num_threads or self._slots
        threads = [threading.Thread(target=compile_next, name="compile", daemon=True) for _ in range(num_threads)]
        started = []
        for thread in threads:
            try:
                thread.start()
            except RuntimeError as fault:
                # The system has no more threads: the others are not to go on behind what the caller does next.
                faults.append(fault)
                break
            started.append(thread)
        for thread in started:
            thread.join()
        if faults:
            try:
                raise faults[0]
            finally:
                # What is raised knows this frame, and must not be known by it: the engine would be in a cycle.
                faults.clear()
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
