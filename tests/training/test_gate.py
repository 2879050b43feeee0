from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.manifest import Draft
from models.repository import Artifact
from models.sequences import Vocabulary
from training.calibration import Platt
from training.export import write_saved_model
from training.gate import GateError, check_artifact
from training.golden import History, record

SIGNATURE = [
    tf.TensorSpec((None, None), tf.int32, "event_ids"),
    tf.TensorSpec((None, None), tf.float32, "elapsed_minutes"),
]


def save(function: Callable[..., dict[str, tf.Tensor]], directory: Path, signature: list[tf.TensorSpec]) -> None:
    module = tf.Module()
    module.score = tf.function(function, input_signature=signature)
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.score})


@pytest.fixture(scope="module")
def draft(artifact: Artifact) -> Draft:
    """The manifest of a sound artifact as it was before publication."""
    return Draft(**{field: getattr(artifact.manifest, field) for field in Draft.model_fields})


def with_golden(draft: Draft, **changes: float) -> Draft:
    """The draft with its first golden example changed."""
    first, *others = draft.golden_examples
    return draft.model_copy(update={"golden_examples": (first.model_copy(update=changes), *others)})


def test_a_faithful_artifact_passes(artifact: Artifact, draft: Draft) -> None:
    check_artifact(artifact.directory, draft)


def test_a_golden_risk_the_artifact_does_not_give_is_refused(artifact: Artifact, draft: Draft) -> None:
    risk = draft.golden_examples[0].risk

    with pytest.raises(GateError, match="Expected the risk of the reloaded model"):
        check_artifact(artifact.directory, with_golden(draft, risk=risk + 1e-3))


def test_an_auxiliary_risk_off_by_little_more_than_rounding_is_refused(artifact: Artifact, draft: Draft) -> None:
    risk = draft.golden_examples[0].auxiliary_risk

    with pytest.raises(GateError, match="auxiliary_risk"):
        check_artifact(artifact.directory, with_golden(draft, auxiliary_risk=risk - 5e-6))


def test_a_network_that_reads_its_padding_is_refused(draft: Draft, tmp_path: Path) -> None:
    event_ids = keras.Input((None,), dtype="int32", name="event_ids")
    minutes = keras.Input((None,), dtype="float32", name="elapsed_minutes")
    state = keras.layers.LSTM(4, use_cudnn=False)(keras.layers.Embedding(20, 4)(event_ids))
    outputs = {name: keras.layers.Dense(1)(state) for name in ("risk", "auxiliary_risk")}
    maskless = keras.Model({"event_ids": event_ids, "elapsed_minutes": minutes}, outputs)
    platt, vocabulary = Platt(1.0, 0.0), Vocabulary(draft.vocabulary)
    alike = [History(("login",), (0.0,)), History(("pay",), (0.0,))]
    golden = record(alike, maskless, platt, vocabulary, 10)
    write_saved_model(maskless, platt, tmp_path)

    with pytest.raises(GateError, match="with 1 columns of padding to equal that without"):
        check_artifact(tmp_path, draft.model_copy(update={"golden_examples": golden}))


def test_a_score_that_depends_on_its_batch_is_refused(draft: Draft, tmp_path: Path) -> None:
    def score(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.shape(event_ids)[0]
        risk = tf.fill([batch], 1 / (1 + tf.cast(batch, tf.float32)))
        return {"risk": risk, "auxiliary_risk": risk}

    save(score, tmp_path, SIGNATURE)
    risk = 1 / (1 + len(draft.golden_examples))
    golden = tuple(
        example.model_copy(update={"risk": risk, "auxiliary_risk": risk}) for example in draft.golden_examples
    )

    with pytest.raises(GateError, match="of example 0 alone to equal that in a batch"):
        check_artifact(tmp_path, draft.model_copy(update={"golden_examples": golden}))


@pytest.mark.parametrize("risk", [np.nan, 1.5, -0.1])
def test_a_risk_that_is_no_probability_is_refused(draft: Draft, tmp_path: Path, risk: float) -> None:
    def score(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
        risks = tf.fill([tf.shape(event_ids)[0]], risk) + 0 * elapsed_minutes[:, 0]
        return {"risk": risks, "auxiliary_risk": risks}

    save(score, tmp_path, SIGNATURE)

    with pytest.raises(GateError, match="between 0 and 1"):
        check_artifact(tmp_path, draft)


def test_another_signature_is_refused(draft: Draft, tmp_path: Path) -> None:
    def score(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"risk": tf.reduce_sum(elapsed_minutes, 1) + tf.cast(event_ids[:, 0], tf.float32)}

    save(score, tmp_path, SIGNATURE)

    with pytest.raises(GateError, match="Expected the signature"):
        check_artifact(tmp_path, draft)


def cudnn(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
    steps = tf.transpose(elapsed_minutes)[:, :, None] + 0 * tf.cast(event_ids[0, 0], tf.float32)
    state = tf.zeros([1, tf.shape(steps)[1], 1])
    risk = tf.raw_ops.CudnnRNN(input=steps, input_h=state, input_c=state, params=tf.zeros([16])).output[-1, :, 0]
    return {"risk": risk, "auxiliary_risk": risk}


def calling_python(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
    risk = tf.numpy_function(lambda minutes: 0 * minutes, [elapsed_minutes[:, 0]], tf.float32)
    risk = tf.ensure_shape(risk, [None]) + 0 * tf.cast(event_ids[:, 0], tf.float32)
    return {"risk": risk, "auxiliary_risk": risk}


def forced_xla(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
    risk = tf.function(lambda minutes: tf.reduce_sum(minutes, 1), jit_compile=True)(elapsed_minutes)
    return {"risk": risk + 0 * tf.cast(event_ids[:, 0], tf.float32), "auxiliary_risk": risk}


def bound_to_a_gpu(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
    with tf.device("GPU:0"):
        risk = tf.reduce_sum(elapsed_minutes, 1)
    return {"risk": risk + 0 * tf.cast(event_ids[:, 0], tf.float32), "auxiliary_risk": risk}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (cudnn, "Received: CudnnRNN"),
        (calling_python, "Received: PyFunc"),
        (forced_xla, "must compile"),
        (bound_to_a_gpu, "no bond to a device"),
    ],
)
def test_a_graph_that_not_every_device_runs_is_refused(
    draft: Draft, tmp_path: Path, function: Callable[..., dict[str, tf.Tensor]], reason: str
) -> None:
    save(function, tmp_path, SIGNATURE)

    with pytest.raises(GateError, match=reason):
        check_artifact(tmp_path, draft)
