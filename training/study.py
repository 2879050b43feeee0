"""The study: trials and what became of them, in a file that outlives the process.

open_study   the study of one configuration and log; one process at a time
next_trial   a trial to run, with its options
finished     trials with an outcome

A process may be killed at any moment. What a trial draws depends on the seed and on the outcomes before it alone: the
next process to open the study draws the trial that was cut off once more, and goes on as if nothing had happened.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from training.search_space import Choice, Dimension, Space, Value
from training.tuned_config import Options, has_effect

REASON = "reason"

_NAME = "seqrisk"
_SUBJECT = "subject"
_UNPRUNED_TRIALS = 5
_UNPRUNED_EPOCHS = 2


class TuneError(RuntimeError):
    """The study cannot go on; the message says why and what to do."""


@contextmanager
def open_study(path: Path, subject: Mapping[str, Any], first: Options) -> Iterator[optuna.Study]:
    """Open the study in the file `path`, or begin it.

    Args:
        path: A journal, a line of JSON for everything that happened.
        subject: What is tuned, in types that JSON knows; figures of different subjects cannot be compared.
        first: Options of the first trial.

    Raises:
        TuneError: It is that of another subject, or another process is at work on it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with path.open("ab") as journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TuneError(f"Expected no other process at work on {path}. Received: one that is.") from error
        _drop_half_line(path)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path), _HeldLock(str(path)))),
            study_name=_NAME,
            direction="maximize",
            pruner=MedianPruner(_UNPRUNED_TRIALS, _UNPRUNED_EPOCHS),
            load_if_exists=True,
        )
        _check_subject(study, subject, path)
        _drop_cut_off_trials(study)
        if not finished(study) and not study.get_trials(states=(TrialState.WAITING,)):
            study.enqueue_trial(first)
        yield study


def next_trial(study: optuna.Study, space: Space, seed: int) -> tuple[Trial, Options]:
    """The trial to run next, and its options, those without effect left out."""
    study.sampler = TPESampler(seed=seed + len(finished(study)))
    trial = study.ask()
    drawn: Options = {}
    for option, dimension in space.items():
        if has_effect(option, drawn, space):
            drawn[option] = _draw(trial, option, dimension)
    return trial, drawn


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials with an outcome: complete, pruned, or failed for a `REASON`."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
    return [trial for trial in ended if trial.state != TrialState.FAIL or REASON in trial.user_attrs]


class _HeldLock(JournalFileOpenLock):
    """The journal is locked for as long as it is open: no line needs a lock of its own, which a kill would leave."""

    def acquire(self) -> bool:
        """Already done."""
        return True

    def release(self) -> None:
        """Done when the study is closed."""


def _drop_half_line(path: Path) -> None:
    """A machine that went down may have left one."""
    lines = path.read_bytes()
    os.truncate(path, lines.rfind(b"\n") + 1)


def _draw(trial: Trial, option: str, dimension: Dimension) -> Value:
    if isinstance(dimension, Choice):
        return str(trial.suggest_categorical(option, list(dimension.words)))
    if dimension.is_whole:
        low, high = int(dimension.lowest), int(dimension.highest)
        return trial.suggest_int(option, low, high, log=dimension.is_logarithmic)
    return trial.suggest_float(option, dimension.lowest, dimension.highest, log=dimension.is_logarithmic)


def _check_subject(study: optuna.Study, subject: Mapping[str, Any], path: Path) -> None:
    received = study.user_attrs.get(_SUBJECT)
    told = json.loads(json.dumps(subject))
    if received is None:
        study.set_user_attr(_SUBJECT, told)
    elif received != told:
        changed = ", ".join(key for key in told if received.get(key) != told[key])
        raise TuneError(
            f"Expected the study in {path} to be of this configuration and log. Received: another {changed}. "
            "Move that file away to begin anew, or change the configuration back to go on."
        )


def _drop_cut_off_trials(study: optuna.Study) -> None:
    # Nobody else holds the lock: a trial that runs belongs to a process that is gone. The next one draws its options.
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
