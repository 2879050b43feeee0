"""A training run, start to end: from a configuration to a published version."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console

from models.manifest import Manifest
from models.repository import Repository
from training.checkpoints import Checkpoints
from training.config import TrainingConfig
from training.contenders import baseline_risks
from training.data_report import report_data
from training.draft import describe
from training.evaluation import evaluate
from training.export import write_saved_model
from training.gate import run_gate
from training.log_reading import read_event_log
from training.parts import cut_parts
from training.progress import EpochProgress
from training.report import REPORT_FILE, Trained, write_report
from training.results import GRADIENT_BOOSTING, LOGISTIC_REGRESSION, NETWORK, Evaluation
from training.risk_network import fit_risk_network
from training.splits import split_by_time
from training.tables import show_evaluation
from training.verdict import require_worth


@dataclass(frozen=True, slots=True)
class Published:
    """What a training run leaves behind."""

    manifest: Manifest
    evaluation: Evaluation


def train_and_publish(
    config: TrainingConfig,
    directory: Path,
    repository: Repository,
    console: Console,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoints: Checkpoints | None = None,
    publishes_worse: bool = False,
) -> Published:
    """Train on the event log of `config`, measure, check, and publish the next version.

    Args:
        config: What to train, and how.
        directory: What `data.path` is relative to.
        repository: Where to publish.
        console: Where to show progress.
        callbacks: What else is told of the fit's epochs.
        checkpoints: Where the fit's state is kept, and found if the run was killed.
        publishes_worse: Whether to publish a network that gradient boosting beats.

    Raises:
        EventLogError: The log cannot be trained on.
        RepositoryError: The repository cannot be written to.
        FitError: The network cannot be fitted as configured.
        CheckpointError: The checkpoint is of another run, or cannot be read or written.
        WorseThanAggregatesError: Gradient boosting ranks better; nothing was published.
        GateError: The exported model is not the trained one; nothing was published.
    """
    tf.config.experimental.enable_op_determinism()

    log_path = directory / config.data.path
    console.print(f"Reading {config.data.path}")
    log = read_event_log(log_path, config.data, config.inputs)
    split = split_by_time(log, config.split)
    data = report_data(log, split, config.vocabulary.min_count, datetime.now(UTC))
    console.print(data.to_text(), highlight=False)
    parts = cut_parts(log, split, config)
    # A repository that cannot be written to is found out now, not after the fit.
    with repository.staging(config.name):
        pass

    num_types = len(parts.vocabulary.event_types)
    console.print(f"Fitting the network on {len(parts.training):,} prefixes, {num_types} event types")
    refit = keras.callbacks.LambdaCallback(
        on_train_begin=lambda _: console.print("Fitting it anew on the fit and the validation part")
    )
    with EpochProgress(console) as progress:
        fitted = fit_risk_network(
            config,
            parts,
            callbacks=[progress, *callbacks],
            refit_callbacks=[refit, progress],
            checkpoints=checkpoints,
        )
    console.print(f"  kept epoch {fitted.fit.best_epoch} of {fitted.fit.num_epochs}")

    console.print("Fitting gradient boosting and logistic regression on the same prefixes")
    risks = {NETWORK: fitted.risks(parts.test)}
    risks |= {model: baseline_risks(model, config, parts) for model in (GRADIENT_BOOSTING, LOGISTIC_REGRESSION)}
    console.print(f"Evaluating on {len(parts.test):,} prefixes of up to {parts.test.lengths.max()} events")
    evaluation = evaluate(
        config,
        parts.test,
        {model: of[None] for model, of in risks.items()},
        [config.seed],
        further_logits=fitted.further_logits(parts.test),
        further=parts.further,
    )
    show_evaluation(console, evaluation)
    if not publishes_worse:
        require_worth(evaluation)

    console.print("Exporting, and checking the export in a separate process")
    draft = describe(
        config=config,
        log_path=log_path,
        split=parts.split,
        vocabulary=parts.vocabulary,
        network=fitted.network,
        platt=fitted.platt,
        test=parts.test,
        evaluation=evaluation,
        further=parts.further,
    )
    with repository.staging(config.name) as staged:
        write_saved_model(fitted.network, fitted.platt, staged)
        run_gate(staged, draft)
        write_report(staged / REPORT_FILE, evaluation, Trained(config, fitted.network, fitted.fit, data, draft))
        manifest = repository.publish(staged, draft)
    return Published(manifest, evaluation)
