import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each thread asks for memory while all others do, which makes glibc open another arena if it may.
COUNT_ARENAS = """
import ctypes, sys, threading
from service.arenas import share_arenas

if sys.argv[1] == "shared":
    share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = [ctypes.c_size_t], ctypes.c_void_p, [ctypes.c_void_p]
barrier = threading.Barrier(12)

def ask():
    barrier.wait()
    kept = [libc.malloc(10_000) for _ in range(2_000)]
    barrier.wait()
    for address in kept:
        libc.free(address)

threads = [threading.Thread(target=ask) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype, libc.fopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
file = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


def count_arenas(how: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", COUNT_ARENAS, how], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return len(re.findall(r"<heap nr=", ran.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's arenas are counted")
def test_threads_share_two_arenas_where_they_would_have_more() -> None:
    assert count_arenas("shared") <= 2 < count_arenas("default")
