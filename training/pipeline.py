"""A training run, start to end: from a configuration to a published version."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console

from models.manifest import Manifest
from models.repository import Repository
from training.baselines import GradientBoosting
from training.calibration import fit_platt
from training.config import TrainingConfig
from training.data_report import report_data
from training.draft import describe
from training.evaluation import Comparison, evaluate
from training.eventlog import read_event_log
from training.export import portable_copy, write_saved_model
from training.fit import fit_network
from training.gate import run_gate
from training.losses import network_losses
from training.network import build_network
from training.prefixes import cut_prefixes, longest_scored_prefix
from training.progress import EpochProgress, show_comparison
from training.scoring import score
from training.splits import split_by_time
from training.vocabulary import build_vocabulary

NETWORK = "network"
GRADIENT_BOOSTING = "gradient_boosting"


@dataclass(frozen=True, slots=True)
class Published:
    """What a training run leaves behind."""

    manifest: Manifest
    comparison: Comparison


def train_and_publish(config: TrainingConfig, directory: Path, repository: Repository, console: Console) -> Published:
    """Train on the event log of `config`, measure, check, and publish the next version.

    Args:
        config: What to train, and how.
        directory: What `data.path` is relative to.
        repository: Where to publish.
        console: Where to show progress.

    Raises:
        EventLogError: The log cannot be trained on.
        RepositoryError: The repository cannot be written to.
        FitError: The network cannot be fitted as configured.
        GateError: The exported model is not the trained one; nothing was published.
    """
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    max_events = config.serving.max_events

    log_path = directory / config.data.path
    console.print(f"Reading {config.data.path}")
    log = read_event_log(log_path, config.data)
    split = split_by_time(log, config.split)
    console.print(report_data(log, split, config.vocabulary.min_count, datetime.now(UTC)).to_text(), highlight=False)

    vocabulary = build_vocabulary(split.fit, config.vocabulary.min_count)
    cut = partial(cut_prefixes, histories=config.prefixes.histories)
    cut_between = partial(cut, between_events=config.prefixes.between_events, seed=config.seed)
    training = cut_between(split.fit)
    # What is fitted knows nothing of the test period, not even how long its sequences are.
    longest = longest_scored_prefix(split.training, config.evaluation.longest_prefix)
    validation, calibration = cut(split.validation, longest), cut_between(split.calibration, longest)
    longest_tested = longest_scored_prefix(log, config.evaluation.longest_prefix)
    test = cut(split.test, longest_tested)
    # A repository that cannot be written to is found out now, not after the fit.
    with repository.staging(config.name):
        pass

    console.print(f"Fitting the network on {len(training):,} prefixes, {len(vocabulary.event_types)} event types")
    network = build_network(config.network, vocabulary.size, config.vocabulary.unknown_rate)
    with EpochProgress(console) as progress:
        fitted = fit_network(
            network,
            training,
            validation,
            vocabulary=vocabulary,
            max_events=max_events,
            config=config.fit,
            losses=network_losses(config.network, has_all_labels=True),
            seed=config.seed,
            callbacks=[progress],
        )
    console.print(f"  kept epoch {fitted.best_epoch} of {fitted.num_epochs}")
    # From here on the network that is measured is the one that is exported.
    network = portable_copy(network, config, vocabulary.size)
    platt = fit_platt(score(network, calibration, vocabulary, max_events).risk, calibration.labels)

    console.print("Fitting gradient boosting on the same prefixes")
    boosting = GradientBoosting(vocabulary, max_events, config.seed)
    boosting.fit(training, validation)
    boosting_platt = fit_platt(boosting.logits(calibration), calibration.labels)

    console.print(f"Evaluating on {len(test):,} prefixes of up to {longest_tested} events")
    risks = {
        NETWORK: platt.risks(score(network, test, vocabulary, max_events).risk),
        GRADIENT_BOOSTING: boosting_platt.risks(boosting.logits(test)),
    }
    comparison = evaluate(test, risks, config.evaluation.resamples, config.seed)

    console.print("Exporting, and checking the export in a separate process")
    draft = describe(
        config=config,
        log_path=log_path,
        split=split,
        vocabulary=vocabulary,
        network=network,
        platt=platt,
        test=test,
        comparison=comparison,
    )
    with repository.staging(config.name) as staged:
        write_saved_model(network, platt, staged)
        run_gate(staged, draft)
        manifest = repository.publish(staged, draft)
    show_comparison(console, comparison)
    return Published(manifest, comparison)
