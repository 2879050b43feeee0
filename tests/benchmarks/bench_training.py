"""How fast a fit learns, against `Model.fit` on exploded prefixes with the same network and the same steps an epoch.

Both learn from every prefix once an epoch, 256 a step, and both see prefixes of similar length together, so that
`Model.fit` pays for little padding. Measured is the fastest of some epochs of a fit that is long enough to be compiled,
without validation and without the first epoch, in which both trace and one compiles; a row of its own tells how long.

From the root of the project: python -m tests.benchmarks.bench_training
"""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf

from models.sequences import Vocabulary
from tests.benchmarks.results import Row, show, write
from training.batches import encode_buckets
from training.config import TrainingConfig
from training.eventlog import EventLog
from training.fit import fit_network
from training.fit_config import FitConfig
from training.fit_state import EpochFigures
from training.log_reading import read_event_log
from training.losses import network_loss_weights, network_losses
from training.network import build_network
from training.network_config import NetworkConfig
from training.prefixes import Prefixes, cut_prefixes
from training.splits import split_by_time
from training.vocabulary import build_vocabulary

SAMPLE = Path("training/sample/sla_breach.toml")
TARGET = 5.0
MAX_EVENTS = 50
MAX_EPOCHS = 500
NUM_LONG_SEQUENCES = 400
NUM_EVENT_TYPES = 30
TIMED_EPOCHS = 20

_MICROSECONDS_PER_HOUR = 3_600_000_000


def main() -> None:
    config = TrainingConfig.read(SAMPLE)
    sample = split_by_time(read_event_log(SAMPLE.parent / config.data.path, config.data), config.split).fit
    rows = [
        *measure("the sample", sample, build_vocabulary(sample, config.vocabulary.min_count)),
        *measure("20 to 50 events a sequence", *long_log()),
    ]
    show("Training", rows)
    write("training", rows)


def measure(what: str, log: EventLog, vocabulary: Vocabulary) -> list[Row]:
    prefixes = cut_prefixes(log)
    # A few are enough to be judged by: the time of that is not measured.
    validation = prefixes.take(np.arange(min(len(prefixes), 500)))
    config = FitConfig(max_epochs=MAX_EPOCHS, patience=MAX_EPOCHS)
    exploded = fit_exploded(prefixes, vocabulary, config)
    first, *others = fit_in_one_pass(prefixes, validation, vocabulary, config)
    fastest = min(figures.seconds for figures in others)
    return [
        Row(
            f"{what}: events/s over those of Model.fit",
            f"{len(prefixes) / fastest:,.0f} and {len(prefixes) / exploded:,.0f}, "
            f"{log.num_events / log.num_sequences:.0f} events a sequence",
            exploded / fastest,
            TARGET,
            is_least=True,
        ),
        Row(
            f"{what}: seconds to trace and compile",
            f"first epoch {first.seconds:.1f} s, later ones {fastest:.2f} s, of Model.fit {exploded:.2f} s",
            first.seconds - fastest,
            None,
            is_least=False,
        ),
    ]


def fit_in_one_pass(
    training: Prefixes, validation: Prefixes, vocabulary: Vocabulary, config: FitConfig
) -> tuple[EpochFigures, ...]:
    keras.utils.set_random_seed(1)
    network = build_network(NetworkConfig(), vocabulary.size, unknown_rate=0.02, is_per_event=True)

    def stop(epoch: int, _: object) -> None:
        network.stop_training = epoch == TIMED_EPOCHS

    return fit_network(
        network,
        training,
        validation,
        vocabulary=vocabulary,
        max_events=MAX_EVENTS,
        config=config,
        losses=network_losses(NetworkConfig()),
        seed=1,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)],
    ).epochs


def fit_exploded(prefixes: Prefixes, vocabulary: Vocabulary, config: FitConfig) -> float:
    """Seconds of the fastest epoch but the first."""
    keras.utils.set_random_seed(1)
    network = build_network(NetworkConfig(), vocabulary.size, unknown_rate=0.02)
    network.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate, clipnorm=1.0),
        loss={name: keras.losses.BinaryCrossentropy(from_logits=True) for name in ("risk", "auxiliary_risk")},
        loss_weights=network_loss_weights(network_losses(NetworkConfig()), config.auxiliary_weight),
        jit_compile=False,
    )
    moments = [perf_counter()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, __: moments.append(perf_counter()))
    batches = exploded_batches(prefixes, vocabulary, config.batch_size)
    network.fit(batches, epochs=1 + TIMED_EPOCHS, callbacks=[clock], shuffle=False, verbose=0)
    return float(np.diff(moments)[1:].min())


def exploded_batches(prefixes: Prefixes, vocabulary: Vocabulary, batch_size: int) -> tf.data.Dataset:
    labels = prefixes.labels[:, None]
    generator = np.random.default_rng(1)
    drawn = [
        (encoded.take(rows).tensors, dict.fromkeys(("risk", "auxiliary_risk"), labels[indices[rows]]))
        for indices, encoded in encode_buckets(prefixes, vocabulary, MAX_EVENTS)
        for rows in np.array_split(generator.permutation(len(indices)), -(-len(indices) // batch_size))
    ]

    def batches() -> Iterator[object]:
        yield from (drawn[index] for index in generator.permutation(len(drawn)))

    label = tf.TensorSpec((None, 1), tf.float32)
    signature = (
        {name: tf.TensorSpec([None] * tensor.ndim, tensor.dtype) for name, tensor in drawn[0][0].items()},
        {"risk": label, "auxiliary_risk": label},
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(drawn))).prefetch(2)


def long_log() -> tuple[EventLog, Vocabulary]:
    """Random sequences of 20 to 50 events."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(20, 51, NUM_LONG_SEQUENCES)
    times = np.concatenate([np.cumsum(generator.integers(1, _MICROSECONDS_PER_HOUR, length)) for length in lengths])
    event_types = [f"type-{number}" for number in range(NUM_EVENT_TYPES)]
    log = EventLog(
        sequence_ids=np.array([str(number) for number in range(NUM_LONG_SEQUENCES)], object),
        labels=generator.integers(0, 2, NUM_LONG_SEQUENCES).astype(np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        event_types=np.array(event_types, object)[generator.integers(0, NUM_EVENT_TYPES, lengths.sum())],
        times_microseconds=times,
        has_calendar_time=False,
    )
    return log, Vocabulary(event_types)


if __name__ == "__main__":
    main()
