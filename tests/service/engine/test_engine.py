import threading
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.further_inputs import FurtherInput
from service.buckets import Buckets
from service.engine import Engine, SignatureError, UnknownBucketError
from tests.service.engine.engines import BUCKETS, build, histories


@pytest.fixture(scope="module")
def traces() -> list[None]:
    """One entry for each shape compiled by `engine`."""
    return []


@pytest.fixture(scope="module")
def engine(artifact: Path, traces: list[None]) -> Engine:
    engine = build(artifact, on_compile=lambda: traces.append(None))
    engine.warm_up(lambda _: None)
    return engine


@pytest.mark.parametrize(("batch", "time"), BUCKETS.shapes)
def test_every_bucket_answers_as_the_plain_signature_does(
    engine: Engine, artifact: Path, batch: int, time: int
) -> None:
    model = tf.saved_model.load(str(artifact))
    event_ids, elapsed_minutes = histories(batch, time, longest=time, seed=1)

    expected = model.signatures["serving_default"](
        event_ids=tf.constant(event_ids), elapsed_minutes=tf.constant(elapsed_minutes)
    )

    risk, auxiliary_risk = engine.run(event_ids, elapsed_minutes)
    np.testing.assert_allclose(risk, expected["risk"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(auxiliary_risk, expected["auxiliary_risk"], rtol=0, atol=1e-6)
    assert risk.dtype == np.dtype(np.float32)
    assert risk.shape == auxiliary_risk.shape == (batch,)


@pytest.mark.parametrize(("batch", "time"), BUCKETS.shapes)
def test_a_score_is_the_same_alone_and_in_every_bucket(engine: Engine, batch: int, time: int) -> None:
    event_ids, elapsed_minutes = histories(batch, time, longest=BUCKETS.times[0], seed=2)

    together = engine.run(event_ids, elapsed_minutes)

    shortest = BUCKETS.times[0]
    for row in range(batch):
        alone = engine.run(event_ids[row : row + 1, :shortest], elapsed_minutes[row : row + 1, :shortest])
        assert abs(alone[0][0] - together[0][row]) <= 1e-6
        assert abs(alone[1][0] - together[1][row]) <= 1e-6


def test_each_bucket_is_compiled_once_and_none_on_a_call(engine: Engine, traces: list[None]) -> None:
    assert len(traces) == len(BUCKETS)

    for seed, (batch, time) in enumerate(BUCKETS.shapes * 3):
        engine.run(*histories(batch, time, longest=time, seed=seed))

    assert len(traces) == len(BUCKETS)


def test_many_threads_get_each_their_own_answer(engine: Engine) -> None:
    questions = [
        histories(batch, time, longest=time, seed=seed) for seed in range(10) for batch, time in BUCKETS.shapes
    ]
    expected = [engine.run(*question) for question in questions]
    together = threading.Barrier(8)

    def ask(thread: int) -> None:
        order = np.random.default_rng(thread).permutation(len(questions))
        together.wait()
        for k in order:
            np.testing.assert_array_equal(engine.run(*questions[k]), expected[k])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))


def test_the_arrays_given_are_not_kept_by_an_answer(engine: Engine) -> None:
    event_ids, elapsed_minutes = histories(3, 8, longest=8, seed=3)
    first, _ = engine.run(event_ids, elapsed_minutes)
    kept = first.copy()

    event_ids[:], elapsed_minutes[:] = histories(3, 8, longest=8, seed=4)
    engine.run(event_ids, elapsed_minutes)

    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("shape", [(1, 5), (2, 4), (16, 9), (0, 4)])
def test_refuses_a_shape_that_is_no_bucket_rather_than_compile_it(
    engine: Engine, traces: list[None], shape: tuple[int, int]
) -> None:
    with pytest.raises(UnknownBucketError, match="shape of a warm bucket"):
        engine.run(np.ones(shape, np.int32), np.zeros(shape, np.float32))

    assert len(traces) == len(BUCKETS)


def test_refuses_arrays_of_two_shapes(engine: Engine) -> None:
    with pytest.raises(UnknownBucketError, match="arrays of the shape"):
        engine.run(np.ones((1, 4), np.int32), np.zeros((1, 8), np.float32))


def test_refuses_to_run_before_it_is_warm(artifact: Path) -> None:
    with pytest.raises(UnknownBucketError):
        build(artifact).run(np.ones((1, 4), np.int32), np.zeros((1, 4), np.float32))


def test_reports_every_bucket_that_becomes_ready(artifact: Path) -> None:
    progress: list[int] = []

    build(artifact).warm_up(progress.append)

    assert max(progress) == len(progress) == len(BUCKETS)


def test_what_the_progress_report_raises_ends_the_warm_up(artifact: Path) -> None:
    num_compiled = 0

    def count() -> None:
        nonlocal num_compiled
        num_compiled += 1

    def stop(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        build(artifact, count).warm_up(stop)
    assert num_compiled < len(BUCKETS)


def test_knows_how_many_rows_a_call_scores_quickly_and_keeps_to_it(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build(artifact)
    engine.warm_up(lambda _: None)

    assert engine.quick_rows(seconds=60) == [BUCKETS.max_batch] * len(BUCKETS.times)
    assert engine.quick_rows(seconds=0) == [0] * len(BUCKETS.times)

    monkeypatch.setattr(timeit, "repeat", lambda *_, **__: [100.0])
    assert engine.quick_rows(seconds=60) == [BUCKETS.max_batch] * len(BUCKETS.times), "slower beside traffic"


def told_more(
    zone: tf.Tensor, amount: tf.Tensor, event_ids: tf.Tensor, elapsed_minutes: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Each input has a digit of its own, so that none can stand in for another."""
    first = [tf.cast(tensor[:, 0], tf.float32) for tensor in (event_ids, elapsed_minutes, amount)]
    digits = [*first, tf.cast(zone, tf.float32)]
    risk = tf.add_n([digit * 10.0 ** -(place + 1) for place, digit in enumerate(digits)])
    return {"risk": risk, "auxiliary_risk": risk}


def test_further_inputs_are_given_by_their_names_in_the_manifests_order(tmp_path: Path) -> None:
    further = (
        FurtherInput(name="zone", kind="categorical", per="sequence", unit=None, default=None, categories=("a",)),
        FurtherInput(name="amount", kind="numeric", per="event", unit=None, default=None),
    )
    signature = [
        tf.TensorSpec([None], tf.int32, "zone"),
        tf.TensorSpec([None, None], tf.float32, "amount"),
        tf.TensorSpec([None, None], tf.int32, "event_ids"),
        tf.TensorSpec([None, None], tf.float32, "elapsed_minutes"),
    ]
    module = tf.Module()
    module.serve = tf.function(told_more, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    buckets = Buckets(times=(2,), batches=(2,))
    engine = Engine(tmp_path, device="cpu", buckets=buckets, slots=1, on_compile=lambda: None, further_inputs=further)
    engine.warm_up(lambda _: None)
    ids, minutes = np.array([[1, 0], [2, 3]], np.int32), np.array([[2, 0], [3, 0]], np.float32)
    zones, amounts = np.array([4, 5], np.int32), np.array([[3, 9], [1, 0]], np.float32)

    risk, _ = engine.run(ids, minutes, zones, amounts)

    np.testing.assert_allclose(risk, [0.1234, 0.2315], atol=1e-6)
    with pytest.raises(UnknownBucketError, match=r"\(2, 1\)"):
        engine.run(ids, minutes, zones, amounts[:, :1])
    with pytest.raises(UnknownBucketError):
        engine.run(ids, minutes)
    with pytest.raises(SignatureError, match=r"from \['elapsed_minutes', 'event_ids'\] to"):
        build(tmp_path)
