from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from training.search_space import SPACE
from training.study import REASON, TuneError, finished, next_trial, open_study
from training.tuned_config import Options

SUBJECT = {"configuration": {"seed": 3}, "log": "a3f"}
OWN: Options = {"time": "log_gap", "lstm_units": 32}


def run(study: optuna.Study, num_trials: int) -> None:
    """Trials whose figure is any function of their options."""
    while len(finished(study)) < num_trials:
        trial, drawn = next_trial(study, SPACE, seed=3)
        if drawn["decay"] == "power":
            trial.set_user_attr(REASON, "NaN")
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, float(drawn["lstm_units"]) * float(drawn["learning_rate"]))


def test_a_study_that_is_killed_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed.jsonl", tmp_path / "killed.jsonl"
    with open_study(undisturbed, SUBJECT, OWN) as study:
        run(study, 14)
        expected = [(trial.params, trial.value) for trial in finished(study)]

    for num_trials in (0, 5, 14):
        with open_study(killed, SUBJECT, OWN) as study:
            run(study, num_trials)
            received = [(trial.params, trial.value) for trial in finished(study)]
            # Begun, and never heard of again.
            next_trial(study, SPACE, seed=3)
        with killed.open("a") as journal:
            journal.write('{"op_code": 9, "wor')

    assert received == expected
    assert expected[0][0]["lstm_units"] == 32


def test_one_study_is_open_in_one_process_and_of_one_configuration(tmp_path: Path) -> None:
    path = tmp_path / "refunds.study.jsonl"
    with (
        open_study(path, SUBJECT, OWN),
        pytest.raises(TuneError, match="no other process"),
        open_study(path, SUBJECT, OWN),
    ):
        pass

    with pytest.raises(TuneError, match="Received: another log"), open_study(path, SUBJECT | {"log": "b"}, OWN):
        pass
