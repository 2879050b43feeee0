import keras
import pytest

from models.sequences import Vocabulary
from training.eventlog import EventLog
from training.network import build_network
from training.network_config import NetworkConfig
from training.prefixes import cut_prefixes
from training.scoring import score


def test_scores_come_in_the_order_of_the_prefixes(log: EventLog) -> None:
    keras.utils.set_random_seed(1)
    vocabulary = Vocabulary(["login", "pay", "browse", "refund"])
    config = NetworkConfig(num_labels=3, auxiliary_target="next_event")
    network = build_network(config, vocabulary.size, unknown_rate=0.0)
    prefixes = cut_prefixes(log.sequences(0, 20))
    encoded = prefixes.encoded(vocabulary, 10)

    logits = score(network, prefixes, vocabulary, 10)

    expected = network({"event_ids": encoded.event_ids, "elapsed_minutes": encoded.elapsed_minutes}, training=False)
    assert logits.risk == pytest.approx(expected["risk"].numpy()[:, 0], abs=1e-6)
    assert logits.further_risks == pytest.approx(expected["further_risks"].numpy(), abs=1e-6)
    assert logits.auxiliary_risk == pytest.approx(expected["auxiliary_risk"].numpy()[:, 0], abs=1e-6)
