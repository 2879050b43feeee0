import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.sequences import Vocabulary
from tests.training.histories import log_of
from training.checkpoints import CHECKPOINT_FILE, Checkpoints
from training.config import Histories, TrainingConfig
from training.descent import FitError
from training.eventlog import EventLog
from training.fit import VALIDATION_METRIC, FitResult, fit_network
from training.fit_config import FitConfig
from training.losses import network_losses
from training.metrics import weighted_roc_auc
from training.network import build_network
from training.network_config import NetworkConfig
from training.prefixes import cut_prefixes
from training.scoring import score
from training.splits import Split

VOCABULARY = Vocabulary(["login", "pay", "browse", "refund"])


class Recorder(keras.callbacks.Callback):
    def __init__(self, last: int | None = None) -> None:
        super().__init__()
        self.rankings: list[float] = []
        self._last = last

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        self.rankings.append(logs[VALIDATION_METRIC])
        self.model.stop_training = epoch + 1 == self._last


def fit(
    split: Split,
    config: TrainingConfig,
    how: FitConfig,
    recorder: Recorder,
    *,
    is_per_event: bool = True,
    histories: Histories = "every_event",
) -> tuple[keras.Model, FitResult]:
    keras.utils.set_random_seed(5)
    network = build_network(config.network, VOCABULARY.size, unknown_rate=0.02, is_per_event=is_per_event)
    result = fit_network(
        network,
        cut_prefixes(split.fit, histories=histories),
        cut_prefixes(split.validation, histories=histories),
        vocabulary=VOCABULARY,
        max_events=10,
        config=how,
        losses=network_losses(config.network),
        seed=5,
        callbacks=[recorder],
    )
    return network, result


@pytest.fixture(scope="module")
def fitted(split: Split, config: TrainingConfig) -> tuple[keras.Model, FitResult, list[float]]:
    recorder = Recorder()
    how = FitConfig(learning_rate=0.03, batch_size=64, max_epochs=40, patience=2)
    return *fit(split, config, how, recorder), recorder.rankings


def test_the_network_learns_what_announces_the_label(fitted: tuple[keras.Model, FitResult, list[float]]) -> None:
    _, result, _ = fitted

    assert result.validation_roc_auc_weighted > 0.6
    assert result.epochs[-1].loss < result.epochs[0].loss


def test_the_best_epoch_is_kept(fitted: tuple[keras.Model, FitResult, list[float]], split: Split) -> None:
    network, result, rankings = fitted

    assert result.num_epochs == len(rankings)
    assert [figures.validation_roc_auc_weighted for figures in result.epochs] == rankings
    assert result.validation_roc_auc_weighted == max(rankings) == rankings[result.best_epoch - 1]
    validation = cut_prefixes(split.validation)
    risks = score(network, validation, VOCABULARY, 10).risk
    labels = validation.labels.astype(np.float64)
    ranking = weighted_roc_auc(labels, risks, np.ones((1, len(risks))), validation.lengths)[0]
    assert ranking == pytest.approx(result.validation_roc_auc_weighted, abs=1e-3)


def test_it_stops_when_validation_no_longer_improves(fitted: tuple[keras.Model, FitResult, list[float]]) -> None:
    _, result, rankings = fitted

    assert result.num_epochs == result.best_epoch + 2 < 40
    assert max(rankings[-2:]) <= result.validation_roc_auc_weighted


def test_without_a_validation_part_all_passes_are_made_and_the_last_is_kept(
    split: Split, config: TrainingConfig
) -> None:
    keras.utils.set_random_seed(5)
    network = build_network(config.network, VOCABULARY.size, unknown_rate=0.02, is_per_event=True)
    latest, logs = Latest(), list[dict[str, float]]()
    recorder = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, figures: logs.append(figures))
    result = fit_network(
        network,
        cut_prefixes(split.fit),
        None,
        vocabulary=VOCABULARY,
        max_events=10,
        config=FitConfig(learning_rate=0.03, batch_size=64, max_epochs=3, patience=1),
        losses=network_losses(config.network),
        seed=5,
        callbacks=[latest, recorder],
    )

    assert (result.num_epochs, result.best_epoch) == (3, 3)
    assert [VALIDATION_METRIC in figures for figures in logs] == [False] * 3
    for one, other in zip(network.get_weights(), latest.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_that_answers_once_a_row_learns_whole_histories_too_until_a_callback_stops_it(
    split: Split, config: TrainingConfig
) -> None:
    how = FitConfig(learning_rate=0.03, batch_size=32, max_epochs=40, patience=30)

    network, result = fit(split, config, how, Recorder(last=4), is_per_event=False, histories="whole")

    assert result.num_epochs == 4
    assert result.epochs[-1].loss < result.epochs[0].loss
    # Hardly two whole histories are equally long: they are ranked with each other, whatever their length.
    validation = cut_prefixes(split.validation, histories="whole")
    ranking = roc_auc_score(validation.labels, score(network, validation, VOCABULARY, 10).risk)
    assert result.validation_roc_auc_weighted == pytest.approx(ranking, abs=1e-3)


def test_weights_that_went_astray_end_the_fit(split: Split, config: TrainingConfig) -> None:
    with pytest.raises(FitError, match=r"finite scores after epoch 1.*Lower fit\.learning_rate"):
        fit(split, config, FitConfig(learning_rate=1e30, batch_size=64), Recorder())


class CopiedAfter(keras.callbacks.Callback):
    """Counts steps, and copies the checkpoint there is after so many: what a kill at that moment would leave behind."""

    def __init__(self, steps: int = 0, checkpoint: Path | None = None, to: Path | None = None) -> None:
        super().__init__()
        self.num_steps = 0
        self._steps = steps
        self._checkpoint = checkpoint
        self._to = to

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.num_steps += 1
        if self.num_steps == self._steps and self._checkpoint and self._to:
            shutil.copy(self._checkpoint, self._to)


def fit_with_dropout(log: EventLog, directory: Path, counter: CopiedAfter) -> tuple[FitResult, keras.Model, Recorder]:
    """A small fit with checkpoints in `directory`; `tests.proofs.prove_resume` kills real ones, with every dropout."""
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(5)
    config = NetworkConfig(embedding_width=4, feature_dropout=0.1, recurrent_dropout=0.1, lstm_units=6, dense_units=4)
    network, recorder = build_network(config, VOCABULARY.size, unknown_rate=0.1, is_per_event=True), Recorder()
    result = fit_network(
        network,
        cut_prefixes(log.sequences(0, 40)),
        cut_prefixes(log.sequences(40, 60)),
        vocabulary=VOCABULARY,
        max_events=10,
        config=FitConfig(learning_rate=0.01, batch_size=4, max_epochs=2, checkpoint_steps=2, average_epochs=0.5),
        losses=network_losses(config),
        seed=5,
        callbacks=[counter, recorder],
        checkpoints=Checkpoints(directory),
    )
    return result, network, recorder


def test_a_fit_killed_in_the_middle_of_an_epoch_ends_as_if_it_had_not_been(log: EventLog, tmp_path: Path) -> None:
    directories = {name: tmp_path / name for name in ("undisturbed", "killed")}
    for directory in directories.values():
        directory.mkdir()
    batches_an_epoch = 30
    killer = CopiedAfter(batches_an_epoch + 18, directories["undisturbed"] / CHECKPOINT_FILE, directories["killed"])
    counter = CopiedAfter()

    expected, undisturbed, _ = fit_with_dropout(log, directories["undisturbed"], killer)
    result, network, recorder = fit_with_dropout(log, directories["killed"], counter)

    # The last checkpoint before was made after a run of steps in the middle of the second epoch.
    assert killer.num_steps == 2 * batches_an_epoch
    assert batches_an_epoch - 18 <= counter.num_steps < batches_an_epoch
    assert [(one.loss, one.validation_roc_auc_weighted) for one in result.epochs] == [
        (one.loss, one.validation_roc_auc_weighted) for one in expected.epochs
    ]
    assert (result.num_epochs, result.best_epoch) == (expected.num_epochs, expected.best_epoch)
    assert len(recorder.rankings) == result.num_epochs == 2
    for one, other in zip(network.get_weights(), undisturbed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def rounds(num_sequences: int) -> EventLog:
    """Login, pay, browse, over and over, an hour after a payment and else a minute; who begins with a login moves."""
    rounds = [[(start + step) % 3 for step in range(5)] for start in range(num_sequences)]
    types = [[("login", "pay", "browse")[step] for step in steps] for steps in rounds]
    gaps = [[60 if step == 1 else 1 for step in steps] for steps in rounds]
    days = [[sum(before[:step]) / (24 * 60) for step in range(5)] for before in gaps]
    log = log_of(types, days=days, labels=np.random.default_rng(0).integers(0, 2, num_sequences).tolist())
    moves = (np.arange(num_sequences) % 3 == 0).astype(np.float32)
    return replace(log, further_labels={"moves": np.where(np.arange(num_sequences) % 5 == 4, np.nan, moves)})


class Latest(keras.callbacks.Callback):
    """The weights after the last epoch, which may rank worse than earlier ones: here nothing tells the label."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[NDArray[np.float32]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.weights = self.model.get_weights()


def fit_rounds(log: EventLog, **options: object) -> keras.Model:
    keras.utils.set_random_seed(5)
    sizes = {"embedding_width": 4, "lstm_units": 8, "dense_units": 8, "dropout": 0.0}
    config = NetworkConfig.model_validate(sizes | options)
    network = build_network(config, VOCABULARY.size, unknown_rate=0.0, is_per_event=True)
    how = FitConfig(learning_rate=0.03, batch_size=32, max_epochs=30, patience=30, auxiliary_weight=1.0)
    latest = Latest()
    fit_network(
        network,
        cut_prefixes(log),
        cut_prefixes(rounds(30)),
        vocabulary=VOCABULARY,
        max_events=10,
        config=how,
        losses=network_losses(config),
        seed=5,
        callbacks=[latest],
    )
    network.set_weights(latest.weights)
    return network


def say(network: keras.Model, output: str) -> NDArray[np.float32]:
    """What it answers after every event of three sequences, each begun by another type."""
    encoded = cut_prefixes(rounds(3), histories="whole").encoded(VOCABULARY, 10)
    return np.asarray(network(encoded.tensors, training=False)[output])


def test_the_state_learns_which_event_follows() -> None:
    told = say(fit_rounds(rounds(60), auxiliary_target="next_event"), "next_event")

    # Of the last event nobody was told what follows it.
    ids = VOCABULARY.ids(["login", "pay", "browse"])
    following = [[ids[(start + step + 1) % 3] for step in range(4)] for start in range(3)]
    assert told[:, :-1].argmax(-1).tolist() == following


def test_the_state_learns_when_an_event_follows() -> None:
    told = say(fit_rounds(rounds(60), auxiliary_target="minutes_to_next_event"), "minutes_to_next_event")

    # The three begin with a login, a payment and a browse.
    expected = [[1, 60, 1, 1], [60, 1, 1, 60], [1, 1, 60, 1]]
    np.testing.assert_allclose(told[:, :-1, 0], np.log1p(expected), atol=0.3)


def test_a_further_label_is_learnt_from_where_it_is_known() -> None:
    told = say(fit_rounds(rounds(60), num_labels=2), "further_risks")

    assert (told[0] > 1).all()
    assert (told[1:] < -1).all()


def test_a_target_that_is_never_known_is_refused() -> None:
    single = log_of([["login"], ["pay"]] * 4)

    with pytest.raises(FitError, match=r"of which the next event is known\. Received: none"):
        fit_rounds(single, auxiliary_target="next_event")
