import shutil
from io import StringIO
from pathlib import Path

import keras
import pytest
from optuna.trial import TrialState
from rich.console import Console

from tests.training.conftest import CONFIGURATION
from training import tune as tuning
from training.config import ConfigError, TrainingConfig
from training.descent import FitError
from training.fit import VALIDATION_METRIC, FitResult
from training.splits import Split
from training.study import TuneError, finished, open_study

TUNE = """
[tune]
trials = 2

[tune.space]
time = ["log_gap"]
decay = ["none"]
convolution_width = [0]
feedback = ["none"]
lstm_layers = [1]
lstm_units = [4, 8]
recurrent_dropout = [0.0]
input_dropout = [0.0]
"""


@pytest.fixture
def config_path(workplace: Path, tmp_path: Path) -> Path:
    shutil.copy(workplace / "log.csv", tmp_path)
    path = tmp_path / "refunds.toml"
    path.write_text(CONFIGURATION.replace("max_epochs = 3", "max_epochs = 1") + TUNE)
    return path


def test_tuning_leaves_a_configuration_that_is_ready_to_train_and_goes_on_where_it_stopped(config_path: Path) -> None:
    config, written = TrainingConfig.read(config_path), StringIO()

    first = tuning.tune(config, config_path, Console(file=written, width=120))
    again = tuning.tune(config, config_path, Console(file=written, width=120))

    assert written.getvalue().count("epochs  best so far") + written.getvalue().count("1 epochs\n") == 3
    assert (again.num_trials, again.best.params) == (first.num_trials, first.best.params)
    tuned = TrainingConfig.read(first.path)
    assert first.path.name == "refunds.tuned.toml"
    assert tuned.network.lstm_units == first.best.params["lstm_units"]
    assert (tuned.data, tuned.seed) == (config.data, config.seed)
    assert f"trial {first.best.number}, the best of 2 in refunds.study.jsonl" in first.path.read_text()


def test_trials_are_told_what_the_configuration_declares(config_path: Path) -> None:
    config_path.write_text(config_path.read_text() + '\n[[inputs]]\nkind = "clock"\n')
    config = TrainingConfig.read(config_path)

    tuned = tuning.tune(config, config_path, Console(file=StringIO(), width=120))

    assert tuned.best.state == TrialState.COMPLETE
    assert TrainingConfig.read(tuned.path).inputs == config.inputs


def test_nothing_at_or_after_the_validation_part_is_read(split: Split, config: TrainingConfig) -> None:
    slices = tuning._Slices.cut(split.fit, config)

    learnt, judged = slices.training.log, slices.validation.log
    assert learnt.times_microseconds.max() < judged.starts_microseconds.min()
    assert judged.times_microseconds.max() < split.validation.starts_microseconds.min()
    assert not set(learnt.sequence_ids) & set(judged.sequence_ids)


def test_trials_that_fall_behind_or_fail_end_and_the_study_goes_on(
    config_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fits whose validation metric is told, epoch by epoch: the sixth falls behind, the seventh is not a number."""
    fits = iter([[0.7, 0.7, 0.7, 0.7]] * 5 + [[0.6, 0.6, 0.6, 0.6], [], [0.8]])

    def fit(*_: object, callbacks: list[keras.callbacks.Callback], **_options: object) -> FitResult:
        rankings = next(fits)
        if not rankings:
            raise FitError("Expected finite scores.")
        for epoch, ranking in enumerate(rankings):
            callbacks[0].on_epoch_end(epoch, {VALIDATION_METRIC: ranking})
        return FitResult(len(rankings), 1, max(rankings))

    monkeypatch.setattr(tuning, "fit_network", fit)
    monkeypatch.setattr(tuning, "build_network", lambda *_arguments, **_options: None)
    config_path.write_text(config_path.read_text().replace("trials = 2", "trials = 8"))
    config = TrainingConfig.read(config_path)

    tuned = tuning.tune(config, config_path, Console(file=StringIO()))

    subject = tuning._subject(config, config_path.parent / "log.csv")
    with open_study(config_path.with_suffix(".study.jsonl"), subject, {}) as study:
        states = [trial.state for trial in finished(study)]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE]
    assert tuned.best.number == 7


def test_a_budget_without_a_complete_trial_and_a_space_that_is_none_are_said_so(config_path: Path) -> None:
    config = TrainingConfig.read(config_path)
    hurried = config.model_copy(update={"tune": config.tune.model_copy(update={"minutes": 1e-9})})
    with pytest.raises(TuneError, match="no trial was run"):
        tuning.tune(hurried, config_path, Console(file=StringIO()))

    boundless = config.tune.model_copy(update={"space": {"dropout": (0.5, 2.0)}})
    with pytest.raises(ConfigError, match=r"tune\.space\.dropout"):
        tuning.tune(config.model_copy(update={"tune": boundless}), config_path, Console(file=StringIO()))
