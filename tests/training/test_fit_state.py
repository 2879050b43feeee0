import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.fit_state import EpochFigures, FitState

FINITE = st.floats(allow_nan=False, allow_infinity=False)
STATES = st.builds(
    FitState,
    epochs=st.lists(st.builds(EpochFigures, FINITE, FINITE, FINITE, FINITE), max_size=3),
    step=st.integers(0, 10**6),
    loss_sum=FINITE,
    seconds=FINITE,
    best_epoch=st.integers(0, 3),
    best_weights=st.just([np.array([1.5, 2.5], np.float32)]),
    is_done=st.booleans(),
)


def epoch(ranking: float) -> EpochFigures:
    return EpochFigures(loss=0.7, validation_roc_auc_weighted=ranking, seconds=1.0, prefixes_per_second=100.0)


@given(STATES)
def test_a_state_survives_json_to_the_last_digit(state: FitState) -> None:
    again = FitState.from_json(json.loads(json.dumps(state.to_json())), state.best_weights)

    assert again == state


def test_before_the_first_epoch_any_ranking_is_better() -> None:
    state = FitState()

    assert state.best_ranking == -np.inf
    assert state.epochs_since_best == 0


def test_epochs_are_counted_from_the_best() -> None:
    state = FitState(epochs=[epoch(0.6), epoch(0.8), epoch(0.7), epoch(0.75)], best_epoch=2)

    assert state.best_ranking == 0.8
    assert state.epochs_since_best == 2
