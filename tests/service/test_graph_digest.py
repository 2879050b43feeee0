from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from service.graph_digest import graph_digest


def published(directory: Path, scale: float, *, step: Callable[[tf.Tensor], tf.Tensor] = tf.tanh) -> str:
    """The digest of a graph with a loop, saved and loaded again; `scale` is in it, and two weights are not."""
    module = tf.Module()
    module.first, module.second = tf.Variable(scale), tf.Variable(1.0)

    def serve(amounts: tf.Tensor) -> dict[str, tf.Tensor]:
        def body(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return number + 1, step(total * module.first - module.second)

        _, total = tf.while_loop(lambda number, _: number < 3, body, (0, amounts))
        return {"total": total}

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None], tf.float32, "amounts")])
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.serve})
    signature = tf.saved_model.load(str(directory)).signatures["serving_default"]
    return graph_digest(signature.function_def, signature.graph.as_graph_def().library.function)


def test_the_same_layers_with_other_weights_have_the_same_digest(tmp_path: Path) -> None:
    first = published(tmp_path / "first", scale=2.0)
    # Names in the next graph count on from here.
    tf.function(lambda: tf.constant(1.0)).get_concrete_function()

    assert published(tmp_path / "second", scale=3.0) == first


@pytest.mark.parametrize(
    "step", [tf.sigmoid, lambda total: tf.tanh(total + 1), lambda total: tf.tanh(total + 2)], ids=["op", "one", "two"]
)
def test_another_op_or_constant_even_within_a_loop_makes_another_digest(
    tmp_path: Path, step: Callable[[tf.Tensor], tf.Tensor]
) -> None:
    others = {
        published(tmp_path / "tanh", 2.0),
        published(tmp_path / "plus", 2.0, step=lambda total: tf.tanh(total + 3)),
    }

    assert published(tmp_path / "other", 2.0, step=step) not in others


def test_inputs_in_another_order_make_another_digest() -> None:
    def digest(function: Callable[..., tf.Tensor]) -> str:
        numbers = [tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.float32)]
        definition = tf.function(function, input_signature=numbers).get_concrete_function().function_def
        return graph_digest(definition, [])

    assert digest(lambda a, b: a - b) == digest(lambda c, d: c - d) != digest(lambda a, b: b - a)
