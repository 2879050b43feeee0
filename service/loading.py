"""Loading: how a verified artifact becomes a version that answers.

load              compiles, proves the golden examples, gives it its slots
beside_traffic    for the time of loading
"""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.repository import Artifact
from models.sequences import Vocabulary
from service.batcher import Batcher
from service.buckets import Buckets
from service.call import BatchReport
from service.capacity import Capacity
from service.golden import verify
from service.live_model import LiveModel
from service.metrics import Metrics
from service.niceness import at_niceness
from service.settings import Settings
from service.statistics import Statistics

if TYPE_CHECKING:
    from service.engine import Engine, Programs

Report = Callable[[str], None]

# What the event loop may spend on one call: for so little, waking a slot and being woken by it costs everyone more.
_QUICK_SECONDS = 0.001

# A tenth of Python's own: it halves the p99 of requests while a version is loaded.
_SWITCH_SECONDS = 0.0005


def load(
    artifact: Artifact,
    settings: Settings,
    metrics: Metrics,
    report: Report,
    *,
    programs: "Programs",
    compile_threads: int,
    niceness: int,
) -> LiveModel:
    """Make an artifact answer: compile every bucket, prove the golden examples, give it its slots.

    Args:
        artifact: Its digests are verified.
        settings: Device, slots and limits.
        metrics: Where compilations and batches are counted.
        report: Called from any thread with what is being done; what it raises ends the loading.
        programs: What was compiled before; added to.
        compile_threads: Buckets compiled side by side.
        niceness: Of the threads that do the work; what runs the model afterwards is not touched by it.

    Raises:
        DeviceError: The device asked for is not there.
        SignatureError: The artifact does not answer as the contract says.
        GraphError: TensorFlow can make nothing of it.
        GoldenExampleError: It answers something else here than where it was made.
    """
    report("Importing TensorFlow.")
    is_first = "service.engine" not in sys.modules
    from service.engine import choose_device  # noqa: PLC0415  seconds of import, so only in the thread that loads

    if is_first:
        # All of it is there to stay: the collection at the end of this start need not look at it.
        gc.freeze()

    manifest = artifact.manifest
    capacity = Capacity.of(choose_device(settings.device, settings.compile_cache_directory), settings)
    buckets = Buckets.for_model(manifest, capacity.max_batch)
    engine, quick_rows = at_niceness(
        niceness,
        lambda: _warm_engine(
            artifact,
            settings,
            metrics,
            report,
            programs=programs,
            capacity=capacity,
            buckets=buckets,
            compile_threads=compile_threads,
        ),
    )
    queue_seconds, infer_seconds = metrics.stage_seconds.labels("queue"), metrics.stage_seconds.labels("infer")

    statistics = Statistics()

    def observe(call: BatchReport) -> None:
        statistics.observe(call)
        queue_seconds.observe(call.longest_wait_seconds)
        infer_seconds.observe(call.run_seconds)
        metrics.batch_sequences.observe(call.rows)
        metrics.batch_padding_ratio.observe(call.padding_ratio)

    batcher = Batcher(
        engine.run,
        buckets=buckets,
        slots=capacity.slots,
        quick_rows=quick_rows,
        max_waiting_sequences=settings.max_waiting_sequences,
        observe=observe,
    )
    return LiveModel(manifest, engine.run, buckets, batcher, statistics)


def _warm_engine(
    artifact: Artifact,
    settings: Settings,
    metrics: Metrics,
    report: Report,
    *,
    programs: "Programs",
    capacity: Capacity,
    buckets: Buckets,
    compile_threads: int,
) -> tuple["Engine", Sequence[int]]:
    """The engine, compiled and proven, and the quick rows of its batcher."""
    from service.engine import Engine  # noqa: PLC0415  as above

    report("Loading the graph and its weights.")
    manifest = artifact.manifest
    engine = Engine(
        artifact.directory,
        device=settings.device,
        buckets=buckets,
        slots=capacity.slots,
        programs=programs,
        compile_cache_directory=settings.compile_cache_directory,
        on_compile=metrics.compiles.inc,
        further_inputs=manifest.further_inputs,
    )
    engine.warm_up(
        lambda num_warm: report(f"Compiling: {num_warm} of {len(buckets)} buckets are ready."),
        num_threads=compile_threads,
    )
    report("Comparing the golden examples.")
    verify(engine.run, manifest, Vocabulary(manifest.vocabulary), buckets)
    return engine, engine.quick_rows(_QUICK_SECONDS) if capacity.has_quick_calls else ()


@contextmanager
def beside_traffic() -> Iterator[None]:
    """Keeps a block that loads a version from being felt by those who answer meanwhile, and from taking longer itself.

    A collector that walks all of TensorFlow's objects stalls requests by 0.2 s, and takes a quarter of the time of a
    start. So nothing is collected meanwhile; then all at once, and what is alive counts as permanent from there on,
    but not while an error passes, which keeps alive what it ends. What a version takes with it when it goes is in no
    cycle.
    """
    is_collecting = gc.isenabled()
    gc.disable()
    interval = sys.getswitchinterval()
    # Loading is Python, and whoever wants to answer gets the interpreter back after this long.
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        sys.setswitchinterval(interval)
        if is_collecting:
            gc.enable()
