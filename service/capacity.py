"""How many calls of the model run side by side, and how many sequences one takes, by the device they run on.

num_cores    processors this process may use
Capacity     what the operator chose, or what suits the device
"""

import os
from dataclasses import dataclass
from typing import Self

from service.settings import Settings

# Several streams of batches would wait for one another on the device, and a call costs it the same half empty.
_GPU_SLOTS = 1
_GPU_MAX_BATCH = 2_048
_CPU_MAX_BATCH = 128


def num_cores() -> int:
    """Processors this process may run on. A container's CPU quota does not show here: it needs SEQRISK_SLOTS."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a version may use.

    Attributes:
        slots: Calls that run side by side.
        max_batch: Most sequences in one call, whatever their lengths.
        has_quick_calls: Whether the event loop may make a call that takes little time by itself: on a GPU it would wait
            there behind the slots' batches.
    """

    slots: int
    max_batch: int
    has_quick_calls: bool

    @classmethod
    def of(cls, device: str, settings: Settings) -> Self:
        """That of `device`, as TensorFlow calls it."""
        is_gpu = device.startswith("/GPU")
        return cls(
            # The event loop needs a core as well: a slot on it would keep both waiting.
            slots=settings.slots or (_GPU_SLOTS if is_gpu else max(1, num_cores() - 1)),
            max_batch=settings.max_batch or (_GPU_MAX_BATCH if is_gpu else _CPU_MAX_BATCH),
            has_quick_calls=not is_gpu,
        )
