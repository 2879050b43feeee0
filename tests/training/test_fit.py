import keras
import numpy as np
import pytest

from models.sequences import Vocabulary
from training.config import FitConfig, TrainingConfig
from training.evaluation import roc_auc_by_length
from training.fit import VALIDATION_METRIC, FitError, FitResult, _ValidationRanking, fit_network
from training.losses import network_losses
from training.network import build_network
from training.prefixes import cut_prefixes
from training.scoring import score
from training.splits import Split

VOCABULARY = Vocabulary(["login", "pay", "browse", "refund"])


class Recorder(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.rankings: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        self.rankings.append(logs[VALIDATION_METRIC])


def fit(split: Split, config: TrainingConfig, how: FitConfig) -> tuple[keras.Model, FitResult, list[float]]:
    keras.utils.set_random_seed(5)
    network = build_network(config.network, VOCABULARY.size, unknown_rate=0.02)
    recorder = Recorder()
    result = fit_network(
        network,
        cut_prefixes(split.fit),
        cut_prefixes(split.validation),
        vocabulary=VOCABULARY,
        max_events=10,
        config=how,
        losses=network_losses(config.network, has_all_labels=True),
        seed=5,
        callbacks=[recorder],
    )
    return network, result, recorder.rankings


@pytest.fixture(scope="module")
def fitted(split: Split, config: TrainingConfig) -> tuple[keras.Model, FitResult, list[float]]:
    return fit(split, config, FitConfig(learning_rate=0.03, batch_size=64, max_epochs=40, patience=2))


def test_the_network_learns_what_announces_the_label(fitted: tuple[keras.Model, FitResult, list[float]]) -> None:
    _, result, _ = fitted

    assert result.validation_roc_auc_weighted > 0.6


def test_the_best_epoch_is_kept(fitted: tuple[keras.Model, FitResult, list[float]], split: Split) -> None:
    network, result, rankings = fitted

    assert result.num_epochs == len(rankings)
    assert result.validation_roc_auc_weighted == max(rankings) == rankings[result.best_epoch - 1]
    validation = cut_prefixes(split.validation)
    risks = score(network, validation, VOCABULARY, 10).risk
    labels = validation.labels.astype(np.float64)
    ranking = roc_auc_by_length(labels, risks, np.ones((1, len(risks))), validation.lengths)[0]
    assert ranking == result.validation_roc_auc_weighted


def test_it_stops_when_validation_no_longer_improves(fitted: tuple[keras.Model, FitResult, list[float]]) -> None:
    _, result, rankings = fitted

    assert result.num_epochs == result.best_epoch + 2 < 40
    assert max(rankings[-2:]) <= result.validation_roc_auc_weighted


def test_weights_that_went_astray_end_the_fit(split: Split, config: TrainingConfig) -> None:
    network = build_network(config.network, VOCABULARY.size, unknown_rate=0.0)
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    after_epoch = _ValidationRanking(cut_prefixes(split.validation), VOCABULARY, max_events=10)
    after_epoch.set_model(network)

    with pytest.raises(FitError, match=r"finite scores after epoch 3.*Lower fit\.learning_rate"):
        after_epoch.on_epoch_end(2, {})
