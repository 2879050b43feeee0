import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from training.batches import LONGEST_RUN, Batch
from training.fit_config import FitConfig
from training.losses import BinaryCrossentropy
from training.train_step import TrainStep, create_optimizer

WIDTH = 2
WEIGHTS = {"risk": 1.0, "auxiliary_risk": 0.2}
MEAN_KNOWN = 4.0
BATCH = Batch(
    {"event_ids": np.array([[1, 2], [3, 0], [2, 2]], np.int32)},
    {"label": np.array([[1.0], [0.0], [np.nan]], np.float32)},
)


def linear_network() -> keras.Model:
    """Logits that are a weighted sum of ids: its gradients are known by hand."""
    event_ids = keras.Input((WIDTH,), dtype="int32", name="event_ids")
    numbers = ops.cast(event_ids, "float32")
    outputs = {name: keras.layers.Dense(1, use_bias=False, name=name)(numbers) for name in WEIGHTS}
    network = keras.Model({"event_ids": event_ids}, outputs)
    network.set_weights([np.array([[0.3], [-0.2]]), np.array([[-0.1], [0.4]])])
    return network


def step_of(network: keras.Model, *outputs: str) -> TrainStep:
    """Descends by the gradient itself."""
    optimizer = keras.optimizers.SGD(learning_rate=1.0)
    optimizer.build(network.trainable_variables)
    losses = {name: BinaryCrossentropy((1.0,)) for name in outputs}
    return TrainStep(network, optimizer, losses, WEIGHTS, {"label": MEAN_KNOWN})


def by_hand(kernel: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
    """Cross-entropy of the two known labels over the labels asked on average, and its gradient."""
    ids, labels = BATCH.tensors["event_ids"][:2].astype(np.float64), BATCH.targets["label"][:2]
    logits = ids @ kernel
    loss = np.sum(np.logaddexp(0, logits) - labels * logits) / MEAN_KNOWN
    return float(loss), ids.T @ (1 / (1 + np.exp(-logits)) - labels) / MEAN_KNOWN


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_step_descends_the_sum_of_known_labels_losses_over_the_labels_asked_on_average(
    is_compiled: bool,
) -> None:
    network = linear_network()
    step = step_of(network, *WEIGHTS)
    if is_compiled:
        step.compile(BATCH.shape)
    before = {name: network.get_layer(name).get_weights()[0] for name in WEIGHTS}

    (loss,) = step([BATCH])

    expected = {name: by_hand(kernel) for name, kernel in before.items()}
    assert float(loss) == pytest.approx(sum(WEIGHTS[name] * of_output for name, (of_output, _) in expected.items()))
    for name, (_, gradient) in expected.items():
        after = network.get_layer(name).get_weights()[0]
        np.testing.assert_allclose(after, before[name] - WEIGHTS[name] * gradient, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 3, LONGEST_RUN])
def test_a_compiled_run_makes_the_steps_that_single_calls_make(num_steps: int) -> None:
    generator = np.random.default_rng(num_steps)
    run = [
        Batch(
            {"event_ids": generator.integers(1, 4, (3, WIDTH)).astype(np.int32)},
            {"label": np.where(generator.random((3, 1)) < 0.3, np.nan, generator.integers(0, 2, (3, 1))).astype("f")},
        )
        for _ in range(num_steps)
    ]
    at_once, one_by_one = linear_network(), linear_network()
    compiled, step = step_of(at_once, *WEIGHTS), step_of(one_by_one, *WEIGHTS)
    compiled.compile(run[0].shape)

    losses = compiled(run)

    assert losses.shape == (num_steps,)
    assert losses.numpy() == pytest.approx([float(step([batch])[0]) for batch in run], rel=1e-5)
    for received, expected in zip(at_once.get_weights(), one_by_one.get_weights(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)


def test_every_target_counts_by_how_often_it_is_known() -> None:
    """Three further labels of a batch are known where four are on average, one label where two are."""
    event_ids = keras.Input((WIDTH,), dtype="int32", name="event_ids")
    numbers = ops.cast(event_ids, "float32")
    outputs = {
        name: keras.layers.Dense(units, kernel_initializer="zeros", name=name)(numbers)
        for name, units in {"risk": 1, "further_risks": 2}.items()
    }
    network = keras.Model({"event_ids": event_ids}, outputs)
    losses = {"risk": BinaryCrossentropy((1.0,)), "further_risks": BinaryCrossentropy((1.0, 1.0))}
    optimizer = keras.optimizers.SGD(learning_rate=1.0)
    optimizer.build(network.trainable_variables)
    step = TrainStep(
        network, optimizer, losses, {"risk": 1.0, "further_risks": 1.0}, {"label": 2.0, "further_labels": 4.0}
    )
    targets = {
        "label": np.array([[1.0], [np.nan]], np.float32),
        "further_labels": np.array([[1.0, 0.0], [np.nan, 1.0]], np.float32),
    }

    (loss,) = step([Batch({"event_ids": np.array([[1, 2], [3, 0]], np.int32)}, targets)])

    assert float(loss) == pytest.approx(np.log(2) * (1 / 2 + 3 / 4))
    # Each known label's gradient is 1/2 - label, over the number known on average.
    assert network.get_layer("risk").get_weights()[1].tolist() == pytest.approx([0.5 / 2])
    assert network.get_layer("further_risks").get_weights()[1].tolist() == pytest.approx([0.5 / 4, 0.0])


def test_a_head_without_a_loss_stays_where_it_is() -> None:
    network = linear_network()
    before = network.get_layer("auxiliary_risk").get_weights()[0]

    step_of(network, "risk")([BATCH])

    assert np.array_equal(network.get_layer("auxiliary_risk").get_weights()[0], before)


def test_a_network_with_a_kernel_that_xla_does_not_know_is_not_compiled() -> None:
    network = linear_network()
    assert step_of(network, *WEIGHTS).can_be_compiled

    network.get_layer("risk").supports_jit = False

    assert not step_of(network, *WEIGHTS).can_be_compiled


def test_weight_decay_shrinks_weights_apart_from_the_gradient() -> None:
    weight = keras.Variable([2.0, -4.0])
    optimizer = create_optimizer(FitConfig(learning_rate=0.1, weight_decay=0.5), num_batches=1)
    optimizer.build([weight])

    optimizer.apply([tf.zeros(2)])

    np.testing.assert_allclose(weight.numpy(), [2.0 * (1 - 0.1 * 0.5), -4.0 * (1 - 0.1 * 0.5)], rtol=1e-6)
