from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.sequences import Vocabulary
from tests.training.architectures import CAUSAL
from training.eventlog import EventLog
from training.known_targets import count_known, known_targets
from training.losses import network_loss_weights, network_losses
from training.network import build_network
from training.one_pass import AskedBucket, ask
from training.prefixes import Prefixes, cut_prefixes
from training.train_step import TrainStep

VOCABULARY = Vocabulary(["login", "pay", "browse", "refund"])
MAX_EVENTS = 4

# All parts whose state goes on from event to event, two labels and the next event, and nothing random.
CONFIG = CAUSAL["everything"].model_copy(update={"positive_weights": (3.0, 2.0), "dropout": 0.0})


@pytest.fixture(scope="module")
def prefixes(log: EventLog) -> Prefixes:
    """Prefixes of 30 sequences, some longer than the network takes; a third are asked about again, a minute later."""
    further = np.where(np.arange(log.num_sequences) % 4 == 0, np.nan, np.arange(log.num_sequences) % 3 == 0)
    every = cut_prefixes(replace(log, further_labels={"moved": further.astype(np.float32)}).sequences(0, 30))
    again = every.take(np.arange(0, len(every), 3))
    return replace(
        every,
        sequences=np.append(every.sequences, again.sequences),
        lengths=np.append(every.lengths, again.lengths),
        asked_microseconds=np.append(every.asked_microseconds, again.asked_microseconds + 60_000_000),
        labels=np.append(every.labels, 1 - again.labels),
    )


@pytest.fixture(scope="module")
def networks() -> tuple[keras.Model, keras.Model]:
    """One that answers each row once, and one with the same weights that answers after every event."""
    keras.utils.set_random_seed(1)
    each, per_event = (build_network(CONFIG, VOCABULARY.size, 0.0, is_per_event=flag) for flag in (False, True))
    per_event.set_weights(each.get_weights())
    return each, per_event


def gradients(network: keras.Model, prefixes: Prefixes) -> tuple[float, list[tf.Tensor]]:
    """Loss of all prefixes, and its gradients, a bucket at a time as a fit takes them."""
    losses = network_losses(CONFIG)
    known = known_targets(losses, prefixes, VOCABULARY)
    num_known = {name: float(count_known(target)) for name, target in known.items()}
    assert num_known["label"] > num_known["next_event"] > num_known["further_labels"] / 2 > 0
    step = TrainStep(network, keras.optimizers.Adam(), losses, network_loss_weights(losses, 0.2), num_known)
    is_per_event = len(network.output["risk"].shape) == 3
    loss, total = 0.0, [tf.zeros(variable.shape) for variable in network.trainable_variables]
    for bucket in ask(network, prefixes, VOCABULARY, MAX_EVENTS):
        targets = bucket.targets(known, is_per_event=is_per_event)
        shares = {
            name: tf.constant(count_known(target) / num_known[name], tf.float32) for name, target in targets.items()
        }
        of_bucket, parts = step._gradients(bucket.encoded.tensors, targets, shares)
        loss += float(of_bucket)
        total = [one + other for one, other in zip(total, parts, strict=True)]
    return loss, total


def test_one_pass_has_the_loss_and_the_gradients_of_the_exploded_prefixes(
    networks: tuple[keras.Model, keras.Model], prefixes: Prefixes
) -> None:
    each, per_event = networks

    (loss, expected), (loss_in_one_pass, given) = gradients(each, prefixes), gradients(per_event, prefixes)

    assert loss_in_one_pass == pytest.approx(loss, rel=1e-5)
    assert max(float(tf.reduce_max(tf.abs(gradient))) for gradient in expected) > 0.01
    for variable, one, other in zip(each.trainable_variables, expected, given, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-6, err_msg=variable.path)


def answered(buckets: list[AskedBucket]) -> list[int]:
    return sorted(np.concatenate([bucket.prefixes for bucket in buckets]).tolist())


def test_every_prefix_is_answered_once_at_its_last_event(
    networks: tuple[keras.Model, keras.Model], prefixes: Prefixes
) -> None:
    event_ids = prefixes.encoded(VOCABULARY, MAX_EVENTS).event_ids

    for network in networks:
        buckets = ask(network, prefixes, VOCABULARY, MAX_EVENTS)

        assert answered(buckets) == list(range(len(prefixes)))
        for bucket in buckets:
            for prefix, row, step in zip(bucket.prefixes, bucket.rows, bucket.steps, strict=True):
                own = event_ids[prefix][event_ids[prefix] > 0]
                assert bucket.encoded.event_ids[row, : step + 1].tolist() == own.tolist()


def test_a_sequence_is_read_once(networks: tuple[keras.Model, keras.Model], prefixes: Prefixes) -> None:
    num_again = len(prefixes) - len(cut_prefixes(prefixes.log))
    num_too_long = int(np.maximum(prefixes.log.lengths - MAX_EVENTS, 0).sum())
    num_both = np.count_nonzero(prefixes.lengths[-num_again:] > MAX_EVENTS)

    num_rows = sum(bucket.num_rows for bucket in ask(networks[1], prefixes, VOCABULARY, MAX_EVENTS))

    assert num_both < num_too_long
    assert num_rows == prefixes.log.num_sequences + num_too_long + num_again


def test_no_prefixes_are_no_rows(networks: tuple[keras.Model, keras.Model], prefixes: Prefixes) -> None:
    nothing = prefixes.take(np.array([], np.int64))

    assert ask(networks[1], nothing, VOCABULARY, MAX_EVENTS) == []
