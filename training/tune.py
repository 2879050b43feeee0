"""Tuning: finds options for a configuration by trying them, on a slice of its own.

        fit part of the log                validation   calibration   test
    |  earlier   |   later    |           (never read by tuning)
       learnt      stops and
       from        judges trials

Nothing that the final run stops by, calibrates on or is judged by is seen before.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import optuna
import tensorflow as tf
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from models.sequences import Vocabulary
from training.config import TrainingConfig
from training.descent import FitError
from training.eventlog import EventLog
from training.fit import VALIDATION_METRIC, FitResult, fit_network
from training.further_inputs import FittedInput, fit_inputs, with_inputs
from training.log_reading import read_event_log
from training.losses import network_losses
from training.network import build_network
from training.prefixes import Prefixes, cut_prefixes, longest_scored_prefix
from training.provenance import file_sha256
from training.search_space import Space
from training.splits import cut_in_two, split_by_time
from training.study import REASON, TuneError, finished, next_trial, open_study
from training.trials import NUM_EPOCHS, SECONDS, TrialProgress, table_of_best
from training.tuned_config import own_options, space_of, to_toml, with_options
from training.vocabulary import build_vocabulary

_NUM_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning leaves behind.

    Attributes:
        path: A configuration with the best options, ready to train.
        best: The trial they are from.
        num_trials: Trials of the study so far.
    """

    path: Path
    best: FrozenTrial
    num_trials: int


def tune(config: TrainingConfig, config_path: Path, console: Console) -> Tuned:
    """Run trials until the budget is spent, and write the best options to a configuration beside `config_path`.

    The study stands in a file beside the configuration, `<name>.study.jsonl`; a later call goes on with it.

    Args:
        config: What to train; [tune] says what to try.
        config_path: Where it was read from.
        console: Where to show progress.

    Raises:
        ConfigError: The search space cannot go with the configuration.
        EventLogError: The log cannot be tuned on.
        TuneError: The study is that of another configuration, at work elsewhere, or without a complete trial.
    """
    tf.config.experimental.enable_op_determinism()
    space = space_of(config)
    own = own_options(config, space)
    console.print(f"Reading {config.data.path}")
    log_path = config_path.parent / config.data.path
    fit_part = split_by_time(read_event_log(log_path, config.data, config.inputs), config.split).fit
    slices = _Slices.cut(fit_part, config)
    console.print(f"Learning from {len(slices.training):,} prefixes, judging on {len(slices.validation):,} later ones")

    study_path = config_path.with_suffix(".study.jsonl")
    deadline = None if config.tune.minutes is None else time.monotonic() + 60 * config.tune.minutes
    with (
        open_study(study_path, _subject(config, log_path), own) as study,
        TrialProgress(console, config.tune.trials) as progress,
    ):
        progress.show_trials(finished(study))
        while len(finished(study)) < config.tune.trials and (deadline is None or time.monotonic() < deadline):
            _run_trial(study, config, space, slices, progress)
            progress.show_trials(finished(study))
        best = _best(study, study_path)
        num_trials = len(finished(study))

    console.print(table_of_best(best[:_NUM_SHOWN], own))
    path = config_path.with_suffix(".tuned.toml")
    _write(path, to_toml(with_options(config, best[0].params, space), _comment(study_path, best, num_trials)))
    return Tuned(path, best[0], num_trials)


@dataclass(frozen=True, slots=True)
class _Slices:
    """What trials learn from and what they are judged on.

    Attributes:
        vocabulary: Of the earlier sequences.
        further: Further inputs, fitted to them.
        training: Prefixes of them.
        validation: Prefixes of the later sequences.
    """

    vocabulary: Vocabulary
    further: tuple[FittedInput, ...]
    training: Prefixes
    validation: Prefixes

    @classmethod
    def cut(cls, fit_part: EventLog, config: TrainingConfig) -> "_Slices":
        earlier, later = cut_in_two(fit_part, config.tune.validation_share, config.split)
        further = fit_inputs(earlier, config.inputs, config.vocabulary.min_count)
        earlier, later = with_inputs(earlier, further), with_inputs(later, further)
        cut = partial(cut_prefixes, histories=config.prefixes.histories)
        return cls(
            build_vocabulary(earlier, config.vocabulary.min_count),
            further,
            cut(
                earlier,
                config.prefixes.longest,
                between_events=config.prefixes.between_events,
                seed=config.seed,
            ),
            cut(later, longest_scored_prefix(fit_part, config.evaluation.longest_prefix)),
        )


def _subject(config: TrainingConfig, log_path: Path) -> dict[str, Any]:
    """What may not change while a study goes on: all but its budget, and what is beyond the fit."""
    return {
        "configuration": config.model_dump(
            mode="json",
            exclude={"name": True, "predicts": True, "tune": {"trials", "minutes"}, "serving": {"bands"}},
        ),
        "log": file_sha256(log_path),
    }


def _run_trial(
    study: optuna.Study, config: TrainingConfig, space: Space, slices: _Slices, progress: TrialProgress
) -> None:
    trial, drawn = next_trial(study, space, config.seed)
    started = time.monotonic()
    state, value = TrialState.COMPLETE, None
    try:
        fitted = _fit(with_options(config, drawn, space), slices, _Judge(trial, progress))
        value = fitted.validation_roc_auc_weighted
        trial.set_user_attr(NUM_EPOCHS, fitted.num_epochs)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except (FitError, tf.errors.ResourceExhaustedError) as error:
        trial.set_user_attr(REASON, str(error).splitlines()[0])
        state = TrialState.FAIL
    trial.set_user_attr(SECONDS, time.monotonic() - started)
    study.tell(trial, value, state)


def _fit(config: TrainingConfig, slices: _Slices, judge: keras.callbacks.Callback) -> FitResult:
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    return fit_network(
        build_network(
            config.network,
            slices.vocabulary.size,
            config.vocabulary.unknown_rate,
            slices.further,
            is_per_event=config.network.is_causal,
        ),
        slices.training,
        slices.validation,
        vocabulary=slices.vocabulary,
        max_events=config.serving.max_events,
        config=config.fit,
        losses=network_losses(config.network),
        seed=config.seed,
        callbacks=[judge],
    )


class _Judge(keras.callbacks.Callback):
    """Ends a trial that does worse than half of the others did after as many epochs."""

    def __init__(self, trial: Trial, progress: TrialProgress) -> None:
        super().__init__()
        self._trial = trial
        self._progress = progress

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Report the epoch."""
        ranking = (logs or {})[VALIDATION_METRIC]
        self._progress.show_epoch(self._trial.number, epoch + 1, ranking)
        self._trial.report(ranking, epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def _best(study: optuna.Study, study_path: Path) -> list[FrozenTrial]:
    """Complete trials, the best first, the earlier one of equals."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if not complete:
        reasons = [trial.user_attrs.get(REASON, "pruned") for trial in finished(study)] or ["no trial was run"]
        raise TuneError(
            f"Expected at least one complete trial in {study_path}. Received: {reasons[-1]}. "
            "Give tune.trials or tune.minutes more room, or narrow tune.space."
        )
    return sorted(complete, key=lambda trial: (-trial.values[0], trial.number))


def _comment(study_path: Path, best: list[FrozenTrial], num_trials: int) -> str:
    return (
        f"Options of trial {best[0].number}, the best of {num_trials} in {study_path.name}:\n"
        f"weighted ROC AUC {best[0].value:.4f} on the latest sequences of the fit part. The best of many flatters\n"
        "itself: what these options are worth, a training run measures on periods that tuning has not seen."
    )


def _write(path: Path, text: str) -> None:
    """Replace `path` at once: a half-written configuration might still be a valid one."""
    staged = path.with_name(f".{path.name}.staging")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
