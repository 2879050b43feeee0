import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from models.repository import Artifact, Repository
from models.sequences import EncodedBatch
from service.live_model import LiveModel
from service.loading import Report, beside_traffic, load
from service.metrics import Metrics
from service.niceness import at_niceness
from service.settings import Settings


@pytest.fixture(scope="module")
def artifact(repository: Path) -> Artifact:
    return Repository(repository).open("tiny")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What was reported while `model` was loaded."""
    return []


@pytest.fixture(scope="module")
def model(artifact: Artifact, runner: asyncio.Runner, metrics: Metrics, told: list[str]) -> Iterator[LiveModel]:
    with beside_traffic():
        model = load_tiny(artifact, metrics, told.append)
    yield model
    runner.run(model.drain())


def load_tiny(artifact: Artifact, metrics: Metrics, report: Report) -> LiveModel:
    settings = Settings.model_validate({"device": "cpu", "slots": 2, "max_batch": 2})
    return load(artifact, settings, metrics, report, programs={}, compile_threads=1, niceness=0)


def encoded(model: LiveModel, *lengths: int) -> EncodedBatch:
    return model.encode(
        [("New/P3",) * length for length in lengths], [tuple(range(length - 1, -1, -1)) for length in lengths]
    )


def test_what_was_loaded_answers_the_golden_examples(model: LiveModel, runner: asyncio.Runner) -> None:
    examples = model.manifest.golden_examples
    batch = model.encode(
        [example.event_types for example in examples], [example.elapsed_minutes for example in examples]
    )

    scores = runner.run(model.score(batch, None))

    np.testing.assert_allclose(scores.risk, [example.risk for example in examples], rtol=0, atol=1e-6)


@pytest.mark.usefixtures("model")
def test_says_what_it_is_doing(told: list[str]) -> None:
    compiling = [report for report in told if report.startswith("Compiling: ")]

    assert [report for report in told if report not in compiling] == [
        "Importing TensorFlow.",
        "Loading the graph and its weights.",
        "Comparing the golden examples.",
    ]
    assert compiling[-1] == "Compiling: 4 of 4 buckets are ready."


def test_no_request_ever_compiles(model: LiveModel, runner: asyncio.Runner, metrics: Metrics) -> None:
    def num_compiled() -> float | None:
        return metrics.registry.get_sample_value("seqrisk_compiles_total")

    num_warm = num_compiled()
    for length in range(1, 2 * model.manifest.max_events):
        for rows in range(1, 6):
            runner.run(model.score(encoded(model, *[length] * rows), None))

    assert num_compiled() == num_warm == 4


def test_every_call_is_counted_in_metrics_and_statistics(
    model: LiveModel, runner: asyncio.Runner, metrics: Metrics
) -> None:
    def counts() -> list[float]:
        samples = [
            metrics.registry.get_sample_value("seqrisk_stage_seconds_count", {"stage": "queue"}),
            metrics.registry.get_sample_value("seqrisk_stage_seconds_count", {"stage": "infer"}),
            metrics.registry.get_sample_value("seqrisk_batch_sequences_count"),
            metrics.registry.get_sample_value("seqrisk_batch_padding_ratio_count"),
        ]
        return [*(sample or 0.0 for sample in samples), model.statistics.infer.count]

    before = counts()
    runner.run(model.score(encoded(model, 3), None))

    assert counts() == [count + 1 for count in before]


@pytest.mark.parametrize("last_words", ["Importing", "Loading", "Compiling", "Comparing"])
def test_what_a_report_raises_ends_the_loading(artifact: Artifact, last_words: str) -> None:
    def stop(reason: str) -> None:
        if reason.startswith(last_words):
            raise InterruptedError(reason)

    with pytest.raises(InterruptedError, match=last_words):
        load_tiny(artifact, Metrics(), stop)


@pytest.mark.usefixtures("model")
def test_the_collector_no_longer_walks_what_was_loaded() -> None:
    assert gc.get_freeze_count() > 10_000


@pytest.mark.parametrize("is_collecting", [True, False])
def test_the_collector_and_turns_of_threads_are_as_before_when_loading_ends(is_collecting: bool) -> None:
    before = sys.getswitchinterval()
    was_collecting = gc.isenabled()
    meanwhile = []

    def fail_beside_traffic() -> None:
        with beside_traffic():
            meanwhile.append((gc.isenabled(), sys.getswitchinterval() < before))
            raise InterruptedError

    (gc.enable if is_collecting else gc.disable)()
    try:
        with pytest.raises(InterruptedError):
            fail_beside_traffic()
        assert (gc.isenabled(), sys.getswitchinterval()) == (is_collecting, before)
    finally:
        (gc.enable if was_collecting else gc.disable)()
    assert meanwhile == [(False, True)]


class _Load:
    """Something in a cycle, as what a load makes is while it is made."""

    def __init__(self) -> None:
        self.itself = self


def _fail_to_load(niceness: int) -> "weakref.ref[_Load]":
    load = _Load()

    def fail() -> None:
        raise MemoryError(load.itself)

    with suppress(MemoryError), beside_traffic():
        at_niceness(niceness, fail)
    return weakref.ref(load)


@pytest.mark.parametrize("niceness", [0, 10])
def test_what_could_not_be_loaded_is_not_there_to_stay(niceness: int) -> None:
    left = _fail_to_load(niceness)

    gc.collect()

    assert left() is None
