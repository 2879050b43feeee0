import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from service.engine import Engine, Programs
from tests.service.engine.engines import BUCKETS, histories

SERVE_ONCE = """
import sys
from pathlib import Path
import numpy as np
from service.buckets import Buckets
from service.engine import Engine

artifact, cache = map(Path, sys.argv[1:])
buckets = Buckets(times=(4, 8), batches=(1,))
engine = Engine(
    artifact, device="cpu", buckets=buckets, slots=1, compile_cache_directory=cache, on_compile=lambda: None
)
engine.warm_up(lambda _: None)
num_compiled = len(list(cache.glob("xla_compile_cache*")))
for seed in range(20):
    for shape in buckets.shapes:
        engine.run(np.random.default_rng(seed).integers(1, 6, shape, np.int32), np.full(shape, seed, np.float32))
print(num_compiled, len(list(cache.glob("xla_compile_cache*"))))
"""


def test_xla_itself_compiles_once_a_bucket_and_not_at_all_with_a_warm_cache(artifact: Path, tmp_path: Path) -> None:
    """XLA writes each program that it compiles into the cache: the files count compilations, whatever we count."""

    def serve_once() -> tuple[str, dict[str, int]]:
        finished = subprocess.run(
            [sys.executable, "-c", SERVE_ONCE, str(artifact), str(tmp_path)],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONPATH": "."},
        )
        return finished.stdout.strip(), {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    cold, written = serve_once()
    warm, kept = serve_once()

    assert cold == warm == "2 2"
    assert kept == written


def test_versions_with_the_same_layers_share_programs_and_keep_their_own_weights(shelf: Path) -> None:
    programs: Programs = {}
    traces: list[None] = []
    question = histories(3, 8, longest=8, seed=5)

    engines = []
    for version in ("1", "2", "1"):
        engines.append(
            Engine(
                shelf / version,
                device="cpu",
                buckets=BUCKETS,
                slots=2,
                programs=programs,
                on_compile=lambda: traces.append(None),
            )
        )
        engines[-1].warm_up(lambda _: None)
    first, second, again = (engine.run(*question)[0] for engine in engines)

    assert len(traces) == len(BUCKETS)
    assert len(programs) == 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).min() > 1e-4
