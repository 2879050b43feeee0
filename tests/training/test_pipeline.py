from io import StringIO
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from models.repository import Artifact, Repository
from models.sequences import Vocabulary
from training import pipeline, risk_network
from training.calibration import Platt
from training.config import TrainingConfig
from training.export import write_saved_model
from training.fit import FitResult
from training.gate import GateError
from training.prefixes import Prefixes, cut_prefixes
from training.splits import Split
from training.verdict import WorseThanAggregatesError


def test_the_artifact_scores_the_test_period_as_its_manifest_says(artifact: Artifact, split: Split) -> None:
    manifest = artifact.manifest
    signature = tf.saved_model.load(str(artifact.directory)).signatures["serving_default"]
    prefixes = cut_prefixes(split.test)
    encoded = prefixes.encoded(Vocabulary(manifest.vocabulary), manifest.max_events)

    outputs = signature(event_ids=tf.constant(encoded.event_ids), elapsed_minutes=tf.constant(encoded.elapsed_minutes))

    published = {metric.name: metric.value for metric in manifest.evaluation.metrics if metric.model == "network"}
    brier = np.mean((outputs["risk"].numpy() - prefixes.labels) ** 2)
    assert brier == pytest.approx(published["brier"], abs=1e-6)


def test_nothing_is_published_when_the_gate_refuses(
    config: TrainingConfig, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_another(network: keras.Model, platt: Platt, directory: Path) -> None:
        write_saved_model(network, Platt(platt.slope, platt.intercept + 0.01), directory)

    monkeypatch.setattr(pipeline, "write_saved_model", write_another)
    # An untrained network is exported like any other.
    monkeypatch.setattr(risk_network, "fit_network", lambda *_arguments, **_options: FitResult(1, 1, 0.5))

    with pytest.raises(GateError, match="nothing was published: Expected the risk of the reloaded model"):
        pipeline.train_and_publish(
            config, workplace, Repository(tmp_path), Console(file=StringIO()), publishes_worse=True
        )

    assert Repository(tmp_path).names() == []
    assert list(tmp_path.rglob("*")) == [tmp_path / "refunds"]


def test_a_network_that_boosting_beats_is_not_published_unless_asked_for(
    config: TrainingConfig, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk_network, "fit_network", lambda *_arguments, **_options: FitResult(1, 1, 0.5))

    with pytest.raises(WorseThanAggregatesError, match="Nothing was published"):
        pipeline.train_and_publish(config, workplace, Repository(tmp_path), Console(file=StringIO()))

    assert Repository(tmp_path).names() == []


def test_a_run_that_asks_between_events_publishes_a_model_that_may_be_asked_there(
    config: TrainingConfig, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Prefixes] = []

    def leave_untrained(_: keras.Model, training: Prefixes, *_arguments: object, **_options: object) -> FitResult:
        asked.append(training)
        return FitResult(1, 1, 0.5)

    monkeypatch.setattr(risk_network, "fit_network", leave_untrained)
    # Slow, and the same as for any other run.
    monkeypatch.setattr(pipeline, "run_gate", lambda *_arguments: None)
    monkeypatch.setattr(pipeline, "write_report", lambda *_arguments: None)
    config = config.model_copy(
        update={
            "network": config.network.model_copy(update={"time": "log_elapsed"}),
            "prefixes": config.prefixes.model_copy(update={"between_events": 0.5}),
        }
    )

    published = pipeline.train_and_publish(
        config, workplace, Repository(tmp_path), Console(file=StringIO()), publishes_worse=True
    )

    assert published.manifest.scores_between_events
    (training,) = asked
    last_events = training.log.offsets[training.sequences] + training.lengths - 1
    assert (training.asked_microseconds > training.log.times_microseconds[last_events]).any()
