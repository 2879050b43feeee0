import keras
import numpy as np
import pytest

from models.sequences import Vocabulary
from training.calibration import Platt
from training.golden import NUM_EXAMPLES, choose_histories, record
from training.network import build_network
from training.network_config import NetworkConfig
from training.prefixes import Prefixes, cut_prefixes
from training.splits import Split

VOCABULARY = Vocabulary(["login", "pay", "browse", "refund"])


@pytest.fixture(scope="module")
def prefixes(split: Split) -> Prefixes:
    return cut_prefixes(split.test)


def test_histories_cover_every_length_an_unknown_event_and_more_than_the_longest(prefixes: Prefixes) -> None:
    histories = choose_histories(prefixes, VOCABULARY, max_events=10, max_elapsed_minutes=1e6, seed=1)

    real, unknown, long = histories[:NUM_EXAMPLES], histories[-2], histories[-1]
    assert {len(history.event_types) for history in real} == set(prefixes.lengths.tolist())
    assert set(unknown.event_types) - set(VOCABULARY.event_types)
    assert len(long.event_types) > 10
    assert all(history.elapsed_minutes[-1] == 0 for history in histories)
    assert all((np.diff(history.elapsed_minutes) <= 0).all() for history in histories)


def test_no_history_is_longer_ago_than_the_artifact_accepts(prefixes: Prefixes) -> None:
    histories = choose_histories(prefixes, VOCABULARY, max_events=10, max_elapsed_minutes=12.5, seed=1)

    assert max(max(history.elapsed_minutes) for history in histories) == 12.5


def test_recorded_risks_are_calibrated_and_auxiliary_risks_are_not(prefixes: Prefixes) -> None:
    keras.utils.set_random_seed(1)
    network = build_network(NetworkConfig(), VOCABULARY.size, unknown_rate=0.0)
    histories = choose_histories(prefixes, VOCABULARY, max_events=10, max_elapsed_minutes=1e6, seed=1)

    plain = record(histories, network, Platt(1.0, 0.0), VOCABULARY, 10)
    shifted = record(histories, network, Platt(1.0, np.log(3)), VOCABULARY, 10)

    for before, after in zip(plain, shifted, strict=True):
        assert after.risk / (1 - after.risk) == pytest.approx(3 * before.risk / (1 - before.risk))
        assert after.auxiliary_risk == before.auxiliary_risk
