"""The device an engine runs on, and what TensorFlow is told about it before it first does something."""

import logging
import os
from pathlib import Path
from typing import Literal

import tensorflow as tf

from service.settings import SettingsError

logger = logging.getLogger(__name__)


class DeviceError(SettingsError):
    """The device asked for is not there."""


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


def configure_process(slots: int) -> None:
    """Set what TensorFlow reads once, when it first does something."""
    # TF32 would round a GPU's products to 10 bits, far beyond the promised 1e-6.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        # Two threads in one batch gain nothing; batches side by side do.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(slots)
    except RuntimeError:
        logger.debug("TensorFlow is in use already, as beside another version; it keeps the threads it has.")
