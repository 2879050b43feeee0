import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process has loaded can be read on Linux alone")

# No thread is made to give the interpreter back within the time: it gets there by being free, or not at all.
LOADING_BESIDE_A_WITNESS = """
import sys, threading
from pathlib import Path
from time import sleep

from service.tensorflow_library import load_library

sys.setswitchinterval(1_000)
is_returned, is_witnessed = False, False

def witness():
    global is_witnessed
    maps = Path("/proc/self/maps")
    while not is_returned:
        is_witnessed = "/libtensorflow_" in maps.read_text() and not is_returned or is_witnessed
        sleep(0.001)

thread = threading.Thread(target=witness)
thread.start()
is_loaded = load_library()
is_returned = True
thread.join()
print(is_loaded, is_witnessed, "tensorflow" in sys.modules)
"""

LOADING_FIRST = """
from pathlib import Path

from service.tensorflow_library import load_library

assert load_library()
before = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libtensorflow" in line}

import tensorflow as tf

after = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libtensorflow" in line}
print(before == after, float(tf.reduce_sum(tf.constant([1.0, 2.0]))))
"""

LOADING_WHAT_IS_NOT_THERE = """
import sys
from service.tensorflow_library import load_library

sys.path.insert(0, sys.argv[1])
print(load_library())
"""


def told(program: str, *arguments: str, flags: tuple[str, ...] = ()) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_others_go_on_while_the_library_is_loaded_and_nothing_is_imported() -> None:
    assert told(LOADING_BESIDE_A_WITNESS) == "True True False"


def test_the_import_finds_what_was_loaded_and_works() -> None:
    assert told(LOADING_FIRST) == "True 3.0"


def test_a_tensorflow_without_this_library_is_left_to_the_import(tmp_path: Path) -> None:
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").touch()

    assert told(LOADING_WHAT_IS_NOT_THERE, str(tmp_path)) == "False"


def test_without_tensorflow_nothing_is_loaded() -> None:
    # Neither site packages nor what else may bring it.
    assert told("from service.tensorflow_library import load_library; print(load_library())", flags=("-S",)) == "False"
