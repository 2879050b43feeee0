"""The split: four parts of the log, none of which shares a sequence, a moment or an entity with a later one.

           training period                         test period
    |  fit  |  validation  |  calibration  |          test          |  -> time

Sequences are sorted by start and cut by share. A part ends where the next begins: its events at or after the next
part's first start are dropped (the strict cut of Teinemaa et al. 2019, ACM TKDD 13(2), §5.2), and so are labels that
came later, because on that day nobody could have trained on them. Of an entity with sequences in two parts the earlier
ones are dropped: a model must not be judged on those it has met, and the later part stays what a service will see.

A column of the log may say which sequences are the test part instead. The others are then cut in time among
themselves; where times of different sequences cannot be compared, they are dealt out by their names' digests.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.data_config import SplitConfig
from training.eventlog import EventLog
from training.rows import EventLogError

PARTS = ("fit", "validation", "calibration", "test")


@dataclass(frozen=True, slots=True)
class Losses:
    """What a part lost because it reaches into a later one.

    Attributes:
        num_events: Events at or after the next part's first start, and those of dropped sequences.
        num_sequences: Sequences without an event, or without a known label, before that moment.
        num_shared: Further sequences, whose entity has one in a later part.
    """

    num_events: int = 0
    num_sequences: int = 0
    num_shared: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a log.

    Attributes:
        training: The training period: all before the test period.
        fit: Its earliest part; weights and vocabulary come from it.
        validation: Its later part; it stops the fit.
        calibration: Its latest part; it turns scores into probabilities.
        test: The test period; it is measured, nothing else.
        joint: Fit and validation part as one, as it was when calibration began; what a refit learns from.
        losses: What each part lost, by its name.
    """

    training: EventLog
    fit: EventLog
    validation: EventLog
    calibration: EventLog
    test: EventLog
    joint: EventLog
    losses: dict[str, Losses] = field(default_factory=dict)


def split_by_time(log: EventLog, config: SplitConfig) -> Split:
    """Split `log` by the start of its sequences, or as its own column says.

    Raises:
        EventLogError: A part has no sequences of one of the classes, or the column names no test sequence.
    """
    uncut = _by_share(log, config) if log.split_values is None else _by_column(log, log.split_values, config)
    is_by_hand = log.split_values is not None
    in_time = uncut if config.overlap == "keep" else _cut_in_time(uncut, is_test_by_hand=is_by_hand)
    cut = in_time if config.overlap == "keep" or log.entities is None else _entity_disjoint(in_time)
    for name in PARTS:
        part = cut[name]
        if not part.has_both_labels:
            raise EventLogError(
                f"Expected sequences of both classes in the {name} part. Received: {part.num_sequences} sequences, "
                f"{int(part.labels.sum())} of them with label 1. Give a longer log or change the shares under [split]."
            )
    losses = {
        name: Losses(
            num_events=uncut[name].num_events - cut[name].num_events,
            num_sequences=uncut[name].num_sequences - in_time[name].num_sequences,
            num_shared=in_time[name].num_sequences - cut[name].num_sequences,
        )
        for name in PARTS
    }
    return Split(**cut, losses=losses)


def cut_in_two(log: EventLog, later_share: float, config: SplitConfig) -> tuple[EventLog, EventLog]:
    """Cut one part of a log again, by the rules of `split_by_time`: its earlier and its later sequences.

    Args:
        log: The part.
        later_share: Share of its sequences in the later part.
        config: Whether the earlier part may reach into the later one.

    Raises:
        EventLogError: One of the two has no sequences of one of the classes.
    """
    rank = np.arange(log.num_sequences) if log.has_common_origin else _rank_by_name(log)
    is_later = rank >= log.num_sequences - round(log.num_sequences * later_share)
    earlier, later = log.where(~is_later), log.where(is_later)
    if config.overlap == "cut" and later.num_sequences:
        if log.has_common_origin:
            earlier = earlier.before(int(later.starts_microseconds[0]))
        if log.entities is not None:
            earlier = _without_entities(earlier, _entities(later))
    for name, part in (("earlier", earlier), ("later", later)):
        if not part.has_both_labels:
            raise EventLogError(
                f"Expected sequences of both classes in the {name} part of the fit part. Received: "
                f"{part.num_sequences} sequences, {int(part.labels.sum())} of them with label 1. Give a longer log "
                "or change tune.validation_share."
            )
    return earlier, later


def _by_share(log: EventLog, config: SplitConfig) -> dict[str, EventLog]:
    # Rounded before it is floored: 0.8 of 10 may be 7.999….
    num_training = min(int(round(log.num_sequences * (1 - config.test_share), 6)), log.num_sequences - 1)
    training, test = log.sequences(0, num_training), log.sequences(num_training, log.num_sequences)
    return {"training": training, "test": test, **_within_training(training, config)}


def _by_column(log: EventLog, split_values: NDArray[np.object_], config: SplitConfig) -> dict[str, EventLog]:
    is_test = np.isin(split_values.astype(str), config.test_values)
    if is_test.all() or not is_test.any():
        values = ", ".join(sorted(set(split_values.tolist()))[:10])
        raise EventLogError(
            f"Expected sequences for testing, {' or '.join(config.test_values)} in data.split_column, and others to "
            f"train on. Received: {values}. Name the values that mean the test part as split.test_values."
        )
    training = log.where(~is_test)
    return {"training": training, "test": log.where(is_test), **_within_training(training, config)}


def _within_training(training: EventLog, config: SplitConfig) -> dict[str, EventLog]:
    num_calibration = round(training.num_sequences * config.calibration_share)
    num_validation = round(training.num_sequences * config.validation_share)
    num_fit = training.num_sequences - num_validation - num_calibration
    edges = (0, num_fit, num_fit + num_validation, training.num_sequences)
    ranges = (*pairwise(edges), (0, num_fit + num_validation))
    if training.has_common_origin:
        parts = [training.sequences(first, last) for first, last in ranges]
    else:
        rank = _rank_by_name(training)
        parts = [training.where((rank >= first) & (rank < last)) for first, last in ranges]
    return dict(zip((*PARTS[:3], "joint"), parts, strict=True))


def _rank_by_name(log: EventLog) -> NDArray[np.int64]:
    """A fixed shuffle of the sequences, int64 (sequence,); those of one entity stay together."""
    names = log.sequence_ids if log.entities is None else log.entities
    digests = np.array([blake2b(name.encode(), digest_size=8).digest() for name in names])
    return np.argsort(np.argsort(digests, kind="stable"), kind="stable")


def _cut_in_time(parts: dict[str, EventLog], *, is_test_by_hand: bool) -> dict[str, EventLog]:
    """Each part as it was when the next one began; a test part chosen by hand begins at no moment."""
    cut = dict(parts)
    for name, follower in (*pairwise(PARTS), ("joint", "calibration"), ("training", "test")):
        is_later = parts[name].has_common_origin and not (is_test_by_hand and follower == "test")
        if is_later and parts[follower].num_sequences:
            cut[name] = parts[name].before(int(parts[follower].starts_microseconds[0]))
    return cut


def _entity_disjoint(parts: dict[str, EventLog]) -> dict[str, EventLog]:
    """The parts without sequences whose entity has one in a later part."""
    disjoint = dict(parts)
    met = _entities(parts["test"])
    disjoint["training"] = _without_entities(parts["training"], met)
    for name in reversed(PARTS[:-1]):
        disjoint[name] = _without_entities(parts[name], met)
        met |= _entities(parts[name])
        if name == "calibration":
            disjoint["joint"] = _without_entities(parts["joint"], met)
    return disjoint


def _entities(log: EventLog) -> set[str]:
    return set() if log.entities is None else set(log.entities.tolist())


def _without_entities(log: EventLog, entities: set[str]) -> EventLog:
    of_sequences = [] if log.entities is None else log.entities.tolist()
    return log.where(np.array([entity not in entities for entity in of_sequences], bool))
