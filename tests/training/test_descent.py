import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from models.sequences import Vocabulary
from training.config import TrainingConfig
from training.descent import FitError
from training.eventlog import EventLog
from training.fit import fit_network
from training.fit_config import FitConfig
from training.losses import network_losses
from training.network import build_network
from training.prefixes import cut_prefixes
from training.splits import Split

VOCABULARY = Vocabulary(["login", "pay", "browse", "refund"])


class AfterEveryStep(keras.callbacks.Callback):
    """The trainable weights after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[list[NDArray[np.float32]]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.weights.append([weight.numpy().copy() for weight in self.model.trainable_variables])


def test_averaged_weights_are_the_exponential_mean_of_those_after_every_step(
    log: EventLog, config: TrainingConfig
) -> None:
    keras.utils.set_random_seed(5)
    network = build_network(config.network, VOCABULARY.size, unknown_rate=0.02, is_per_event=True)
    after = AfterEveryStep()
    result = fit_network(
        network,
        cut_prefixes(log.sequences(0, 40)),
        cut_prefixes(log.sequences(40, 60)),
        vocabulary=VOCABULARY,
        max_events=10,
        # One batch a bucket: a run of more is over before the first of its ends is told.
        config=FitConfig(learning_rate=0.03, batch_size=1000, max_epochs=6, average_epochs=0.5),
        losses=network_losses(config.network),
        seed=5,
        callbacks=[after],
    )

    batches_an_epoch = len(after.weights) // 6
    assert batches_an_epoch > 1
    kept = np.exp(-1 / (0.5 * batches_an_epoch))
    expected = [weight.astype(np.float64) for weight in after.weights[0]]
    for weights in after.weights[1 : result.best_epoch * batches_an_epoch]:
        expected = [kept * mean + (1 - kept) * weight for mean, weight in zip(expected, weights, strict=True)]
    for found, mean in zip(network.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(found.numpy(), mean, atol=1e-6)
    # The descent goes on from where it was, not from the average.
    assert not np.allclose(network.trainable_variables[0].numpy(), after.weights[-1][0], atol=1e-4)


def test_weights_that_went_astray_end_a_fit_without_a_validation_part(split: Split, config: TrainingConfig) -> None:
    network = build_network(config.network, VOCABULARY.size, unknown_rate=0.02, is_per_event=True)

    with pytest.raises(FitError, match=r"finite scores after epoch \d.*Lower fit\.learning_rate"):
        fit_network(
            network,
            cut_prefixes(split.fit),
            None,
            vocabulary=VOCABULARY,
            max_events=10,
            config=FitConfig(learning_rate=1e30, batch_size=64, max_epochs=3),
            losses=network_losses(config.network),
            seed=5,
        )
