"""The split: four parts of the log in time, none of which shares a sequence or a moment with a later one.

           training period                         test period
    |  fit  |  validation  |  calibration  |          test          |  -> time

Sequences are sorted by start and cut by share. A part ends where the next begins: its events at or after the next
part's first start are dropped (the strict cut of Teinemaa et al. 2019, ACM TKDD 13(2), §5.2), because on that day
nobody could have trained on them.
"""

from dataclasses import dataclass

from training.config import SplitConfig
from training.eventlog import EventLog, EventLogError


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a log.

    Attributes:
        training: The training period: all before the test period.
        fit: Its earliest part; weights and vocabulary come from it.
        validation: Its later part; it stops the fit.
        calibration: Its latest part; it turns scores into probabilities.
        test: The test period; it is measured, nothing else.
    """

    training: EventLog
    fit: EventLog
    validation: EventLog
    calibration: EventLog
    test: EventLog


def split_by_time(log: EventLog, config: SplitConfig) -> Split:
    """Split `log` by the start of its sequences.

    Raises:
        EventLogError: A part has no sequences of one of the classes.
    """
    num_training = log.num_sequences - max(round(log.num_sequences * config.test_share), 1)
    num_calibration = round(num_training * config.calibration_share)
    num_validation = round(num_training * config.validation_share)
    num_fit = num_training - num_validation - num_calibration

    split = Split(
        training=_until_next(log, 0, num_training),
        fit=_until_next(log, 0, num_fit),
        validation=_until_next(log, num_fit, num_fit + num_validation),
        calibration=_until_next(log, num_fit + num_validation, num_training),
        test=log.sequences(num_training, log.num_sequences),
    )
    for name in ("fit", "validation", "calibration", "test"):
        part: EventLog = getattr(split, name)
        if not part.has_both_labels:
            raise EventLogError(
                f"Expected sequences of both classes in the {name} part. Received: {part.num_sequences} sequences, "
                f"{int(part.labels.sum())} of them with label 1. Give a longer log or change the shares under [split]."
            )
    return split


def _until_next(log: EventLog, first: int, last: int) -> EventLog:
    """Sequences `first` to `last` as they were when sequence `last` started."""
    return log.sequences(first, last).before(int(log.starts_microseconds[last]))
