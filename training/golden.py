"""Golden examples: real histories of the test period that every faithful copy of a model must score alike."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.further_inputs import FurtherInputs, FurtherValues
from models.manifest import GoldenExample
from models.sequences import Vocabulary, encode
from training.calibration import Platt, sigmoid
from training.further_inputs import FittedInput, values_of
from training.prefixes import Prefixes

NUM_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class History:
    """One history in the user's own terms, oldest event first."""

    event_types: tuple[str, ...]
    elapsed_minutes: tuple[float, ...]
    further: FurtherValues = field(default_factory=dict)


def choose_histories(
    prefixes: Prefixes,
    vocabulary: Vocabulary,
    max_events: int,
    max_elapsed_minutes: float,
    seed: int,
    *,
    further: Sequence[FittedInput] = (),
) -> list[History]:
    """Histories of every length there is, one with an unknown event and one longer than `max_events`."""
    generator = np.random.default_rng(seed)
    shuffled = prefixes.take(generator.permutation(len(prefixes)))
    # One of each length in turn, then the next of each length, until there are enough.
    turn = np.zeros(len(shuffled), np.int64)
    for length in np.unique(shuffled.lengths):
        chosen = shuffled.lengths == length
        turn[chosen] = np.arange(chosen.sum())
    order = np.lexsort((shuffled.lengths, turn))[:NUM_EXAMPLES]
    histories = [_history(shuffled, int(index), max_events, further) for index in order]
    longest = max(histories, key=lambda history: len(history.event_types))
    histories += [_with_unknown_event(longest, vocabulary), _repeated(longest, max_events)]
    return [_within(history, max_elapsed_minutes) for history in histories]


def record(
    histories: list[History],
    network: keras.Model,
    platt: Platt,
    vocabulary: Vocabulary,
    max_events: int,
    *,
    further: Sequence[FittedInput] = (),
) -> tuple[GoldenExample, ...]:
    """What the model in memory answers for each history, scored one at a time."""
    inputs = FurtherInputs([one.declared for one in further])
    examples = []
    for history in histories:
        encoded = encode([history.event_types], [history.elapsed_minutes], vocabulary, max_events)
        encoded = inputs.complete(encoded, [history.further])
        # A GPU rounds coarsely: what it answers is no yardstick for the others.
        with tf.device("CPU:0"):
            outputs = network(encoded.tensors, training=False)
        told: dict[str, Any] = dict(history.further)
        logits = {name: keras.ops.convert_to_numpy(output)[:, 0].astype(float) for name, output in outputs.items()}
        examples.append(
            GoldenExample(
                event_types=history.event_types,
                elapsed_minutes=history.elapsed_minutes,
                risk=float(platt.risks(logits["risk"])[0]),
                auxiliary_risk=float(sigmoid(logits["auxiliary_risk"])[0]),
                further=told,
            )
        )
    return tuple(examples)


def _history(prefixes: Prefixes, index: int, max_events: int, further: Sequence[FittedInput]) -> History:
    event_types, minutes = prefixes.history(index, max_events)
    return History(tuple(event_types), tuple(minutes), values_of(prefixes, index, max_events, further))


def _with_unknown_event(history: History, vocabulary: Vocabulary) -> History:
    unknown = "never seen in training"
    while unknown in vocabulary.event_types:
        unknown += "!"
    return replace(history, event_types=(unknown, *history.event_types[1:]))


def _repeated(history: History, max_events: int) -> History:
    """The history over and over, a minute apart, until it is longer than `max_events`."""
    num_copies = max_events // len(history.event_types) + 1
    span = history.elapsed_minutes[0] + 1
    minutes = (minutes + span * copy for copy in reversed(range(num_copies)) for minutes in history.elapsed_minutes)
    further = {name: told * num_copies if isinstance(told, tuple) else told for name, told in history.further.items()}
    return History(history.event_types * num_copies, tuple(minutes), further)


def _within(history: History, max_elapsed_minutes: float) -> History:
    minutes = tuple(min(minutes, max_elapsed_minutes) for minutes in history.elapsed_minutes)
    return replace(history, elapsed_minutes=minutes)
