"""The draft: a trained model described for its manifest."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import keras

from models.manifest import Draft, Evaluation, Metric, ModelInput
from models.sequences import MICROSECONDS_PER_MINUTE, Vocabulary
from training import results
from training.bootstrap import CONFIDENCE
from training.calibration import Platt
from training.config import TrainingConfig
from training.eventlog import EventLog
from training.further_inputs import FittedInput
from training.golden import choose_histories, record
from training.prefixes import Prefixes, cut_prefixes
from training.provenance import provenance
from training.reference import reference_statistics
from training.scoring import score
from training.splits import Split

INPUTS = (
    ModelInput(name="event_ids", dtype="int32", unit=None, per="event", default=None),
    ModelInput(name="elapsed_minutes", dtype="float32", unit="minutes", per="event", default=None),
)
GOLDEN_TOLERANCE = 1e-5

_MICROSECONDS_PER_SECOND = 1_000_000
_LARGEST_MAX_ELAPSED_MINUTES = 1_000_000_000


def describe(
    *,
    config: TrainingConfig,
    log_path: Path,
    split: Split,
    vocabulary: Vocabulary,
    network: keras.Model,
    platt: Platt,
    test: Prefixes,
    evaluation: results.Evaluation,
    further: Sequence[FittedInput] = (),
) -> Draft:
    """Everything a reader of the artifact must know but its version, time and digests.

    Args:
        config: What was trained, and how.
        log_path: The event log.
        split: Its parts.
        vocabulary: The network's.
        network: The trained network.
        platt: Calibration of its main output.
        test: Prefixes of the test period that were evaluated.
        evaluation: Their evaluation.
        further: The network's further inputs.
    """
    max_events = config.serving.max_events
    max_elapsed_minutes = config.serving.max_elapsed_minutes or default_max_elapsed_minutes(split.training)
    histories = choose_histories(test, vocabulary, max_events, max_elapsed_minutes, config.seed, further=further)
    reference = cut_prefixes(split.training, histories=config.prefixes.histories)
    reference_risks = platt.risks(score(network, reference, vocabulary, max_events).risk)
    return Draft(
        format_version=1,
        name=config.name,
        predicts=config.predicts,
        vocabulary=vocabulary.event_types,
        max_events=max_events,
        inputs=INPUTS,
        further_inputs=tuple(one.declared for one in further),
        time_unit="minutes",
        max_elapsed_minutes=max_elapsed_minutes,
        scores_between_events=config.prefixes.between_events > 0,
        bands=config.serving.bands,
        evaluation=_evaluation(test, evaluation),
        reference=reference_statistics(reference, reference_risks, vocabulary, max_events, further),
        golden_examples=record(histories, network, platt, vocabulary, max_events, further=further),
        golden_tolerance=GOLDEN_TOLERANCE,
        provenance=provenance(config, log_path),
    )


def default_max_elapsed_minutes(log: EventLog) -> float:
    """Ten times the longest sequence of `log`, in whole minutes: beyond it, a client's units are probably wrong."""
    spans = log.times_microseconds[log.offsets[1:] - 1] - log.starts_microseconds
    tenfold = ceil(10 * int(spans.max()) / MICROSECONDS_PER_MINUTE)
    return float(min(max(tenfold, 1), _LARGEST_MAX_ELAPSED_MINUTES))


def _evaluation(test: Prefixes, found: results.Evaluation) -> Evaluation:
    of_network = dict(found.figures[results.NETWORK])
    for number, column in enumerate(test.log.further_labels, start=2):
        if column in found.further_labels:
            of_network[f"{results.MAIN_METRIC}_of_label_{number}"] = found.further_labels[column]
    starts_at_seconds = int(test.log.starts_microseconds[0]) / _MICROSECONDS_PER_SECOND
    return Evaluation(
        test_from=datetime.fromtimestamp(starts_at_seconds, UTC) if test.log.has_calendar_time else None,
        num_sequences=found.num_sequences,
        num_prefixes=found.num_prefixes,
        prevalence=found.prevalence,
        confidence=CONFIDENCE,
        metrics=tuple(
            Metric(name=metric, model=model, value=figure.value, lower=figure.lower, upper=figure.upper)
            for model, figures in {**found.figures, results.NETWORK: of_network}.items()
            for metric, figure in figures.items()
        ),
    )
