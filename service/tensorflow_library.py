"""TensorFlow's shared library, loaded before its import.

Loading it takes a third of a second, in which an import would hold the interpreter and nobody would answer a probe.
"""

import ctypes

# TensorFlow's own order: these bring the system's OpenSSL, and its library another.
import hashlib  # noqa: F401
import os
import ssl  # noqa: F401
import sys
from importlib.util import find_spec
from pathlib import Path

# It needs all of the others.
_LIBRARY = Path("python", "_pywrap_tensorflow_internal.so")


def load_library() -> bool:
    """Load it while other threads go on; it stays for the import to find.

    Returns:
        Whether it is loaded now. If not, it is for the import to load it, or to say what is wrong.
    """
    package = find_spec("tensorflow")
    if package is None or package.origin is None:
        return False
    # As a foreign function, `dlopen` is called without the interpreter, which `ctypes.CDLL(path)` would hold.
    load = ctypes.CDLL(None).dlopen
    load.argtypes, load.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    # The flags of an import, for which nothing is then left to do.
    return load(os.fsencode(Path(package.origin).parent / _LIBRARY), sys.getdlopenflags()) is not None
