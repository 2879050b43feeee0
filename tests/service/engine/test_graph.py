from pathlib import Path

import pytest
import tensorflow as tf

from service.engine import GraphError, SignatureError
from tests.service.engine.engines import build


def save(directory: Path, signatures: dict[str, tf.types.experimental.PolymorphicFunction]) -> Path:
    module = tf.Module()
    module.functions = list(signatures.values())
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return directory


@tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, "amounts")])
def other_inputs(amounts: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"risk": amounts[:, 0], "auxiliary_risk": amounts[:, 0]}


@tf.function(
    input_signature=[
        tf.TensorSpec((None, None), tf.int32, "event_ids"),
        tf.TensorSpec((None, None), tf.float32, "elapsed_minutes"),
    ]
)
def other_outputs(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"probability": elapsed_minutes[:, 0] + tf.cast(event_ids[:, 0], tf.float32)}


@tf.function(
    input_signature=[
        tf.TensorSpec((None, None), tf.int32, "event_ids"),
        tf.TensorSpec((None, None), tf.float32, "elapsed_minutes"),
    ]
)
def through_text(event_ids: tf.Tensor, elapsed_minutes: tf.Tensor) -> dict[str, tf.Tensor]:
    risk = tf.strings.to_number(tf.strings.as_string(elapsed_minutes[:, 0] + tf.cast(event_ids[:, 0], tf.float32)))
    return {"risk": risk, "auxiliary_risk": risk}


def test_an_artifact_that_cannot_be_compiled_is_at_fault_itself(tmp_path: Path) -> None:
    engine = build(save(tmp_path, {"serving_default": through_text}))

    with pytest.raises(GraphError, match="InvalidArgumentError"):
        engine.warm_up(lambda _: None)


def test_an_artifact_with_other_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match=r"from \['amounts'\]"):
        build(save(tmp_path, {"serving_default": other_inputs}))


def test_an_artifact_without_our_outputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match=r"to \['probability'\]"):
        build(save(tmp_path, {"serving_default": other_outputs}))


def test_an_artifact_without_the_serving_signature_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match=r"serving_default.*Received: \['predict'\]"):
        build(save(tmp_path, {"predict": other_outputs}))
