"""The engine: one loaded artifact on one device, compiled for fixed shapes. The only room that TensorFlow is in.

Engine                the artifact, compiled
choose_device         where an engine runs
Programs              what was compiled so far in this process
DeviceError           the device asked for is not there
SignatureError        the artifact does not answer as the contract says
GraphError            TensorFlow can make nothing of the artifact's graph
UnknownBucketError    nothing is compiled for these arrays
"""

# ruff: noqa: E402  what TensorFlow reads, and its library, come before its import

import os

# TensorFlow reads this while it is imported; its C++ log lines are not ours and would break structured logs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Where it knows the processor, oneDNN announces itself all the same; it is for graphs that XLA does not compile.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# XLA's newer way to compile fused loops takes twice as long here, for programs that are no faster.
os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}"

from service.tensorflow_library import load_library

load_library()

from service.engine.device import DeviceError, choose_device
from service.engine.engine import Engine, UnknownBucketError
from service.engine.graph import GraphError, SignatureError
from service.engine.program import Programs

__all__ = [
    "DeviceError",
    "Engine",
    "GraphError",
    "Programs",
    "SignatureError",
    "UnknownBucketError",
    "choose_device",
]
