from pathlib import Path

import pytest
import tensorflow as tf

from service.engine import DeviceError, Engine
from tests.service.engine.engines import BUCKETS


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_an_error_that_names_the_setting(artifact: Path) -> None:
    with pytest.raises(DeviceError, match=r"SEQRISK_DEVICE: Expected a GPU .* Received: none"):
        Engine(artifact, device="gpu", buckets=BUCKETS, slots=1, on_compile=lambda: None)
