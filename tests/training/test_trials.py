from io import StringIO

from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console

from training.study import REASON
from training.trials import NUM_EPOCHS, SECONDS, TrialProgress, table_of_best


def trial(number: int, state: TrialState, value: float | None, figures: dict[str, object]) -> FrozenTrial:
    ended = create_trial(
        state=state, value=value, user_attrs={SECONDS: 7.2, **figures}, intermediate_values={0: 0.5, 1: 0.51}
    )
    ended.number = number
    return ended


COMPLETE = trial(0, TrialState.COMPLETE, 0.71, {NUM_EPOCHS: 9})
PRUNED = trial(1, TrialState.PRUNED, 0.51, {})
FAILED = trial(2, TrialState.FAIL, None, {REASON: "Expected finite scores."})


def test_a_file_gets_one_plain_line_a_trial() -> None:
    written = StringIO()

    with TrialProgress(Console(file=written, width=120), 3) as progress:
        progress.show_epoch(0, 1, 0.6)
        for num_trials in range(4):
            progress.show_trials([COMPLETE, PRUNED, FAILED][:num_trials])

    assert written.getvalue().splitlines() == [
        "  trial   0  0.7100     7 s  9 epochs  best so far",
        "  trial   1  0.5100     7 s  pruned after 2 epochs",
        "  trial   2  failed: Expected finite scores.",
    ]


def test_a_terminal_gets_a_bar_over_all_trials() -> None:
    written = StringIO()

    with TrialProgress(Console(file=written, force_terminal=True, width=120), 3) as progress:
        progress.show_trials([COMPLETE])
        progress.show_epoch(1, 4, 0.6123)

    assert "1/3" in written.getvalue()
    assert "trial 1, epoch 4: 0.6123" in written.getvalue()


def test_the_table_says_what_the_best_trials_change() -> None:
    written = StringIO()
    changed = trial(4, TrialState.COMPLETE, 0.72, {NUM_EPOCHS: 3})
    changed._params = {"time": "both", "dropout": 0.123456}

    Console(file=written, width=120).print(table_of_best([changed, COMPLETE], {"time": "log_gap", "dropout": 0.3}))

    assert "time both, dropout 0.123" in written.getvalue()
    assert "nothing" in written.getvalue()
