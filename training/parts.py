"""Parts: the histories of each part of a log, as every model of a run is given them."""

from dataclasses import dataclass
from functools import partial

from models.sequences import Vocabulary
from training.config import TrainingConfig
from training.eventlog import EventLog
from training.further_inputs import FittedInput, fit_inputs, split_with_inputs
from training.prefixes import Prefixes, cut_prefixes, longest_scored_prefix
from training.splits import Split
from training.vocabulary import build_vocabulary


@dataclass(frozen=True, slots=True)
class Parts:
    """What is learnt from and judged on.

    Attributes:
        vocabulary: Event types of the fit part.
        further: Further inputs, fitted on the fit part.
        split: The log's parts they are cut from.
        training: Weights come from these.
        validation: They stop a fit.
        calibration: They turn scores into probabilities.
        test: They are measured, nothing else.
        joint: Those of fit and validation part as one, if there is to be a refit, whose weights come from these.
    """

    vocabulary: Vocabulary
    further: tuple[FittedInput, ...]
    split: Split
    training: Prefixes
    validation: Prefixes
    calibration: Prefixes
    test: Prefixes
    joint: Prefixes | None = None


def cut_parts(log: EventLog, split: Split, config: TrainingConfig) -> Parts:
    """Cut the parts of `split` into histories.

    Args:
        log: The whole log.
        split: Its parts.
        config: Which histories.

    Raises:
        EventLogError: A part leaves no histories, or a categorical input no categories.
    """
    further = fit_inputs(split.fit, config.inputs, config.vocabulary.min_count)
    split = split_with_inputs(split, further)
    cut = partial(cut_prefixes, histories=config.prefixes.histories)
    cut_between = partial(cut, between_events=config.prefixes.between_events, seed=config.seed)
    # What is fitted knows nothing of the test period, not even how long its sequences are.
    longest = longest_scored_prefix(split.training, config.evaluation.longest_prefix)
    return Parts(
        vocabulary=build_vocabulary(split.fit, config.vocabulary.min_count),
        further=further,
        split=split,
        training=cut_between(split.fit, config.prefixes.longest),
        validation=cut(split.validation, longest),
        calibration=cut_between(split.calibration, longest),
        test=cut(split.test, longest_scored_prefix(log, config.evaluation.longest_prefix)),
        joint=cut_between(split.joint, config.prefixes.longest) if config.fit.refit else None,
    )
