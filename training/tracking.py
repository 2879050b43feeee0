"""Tracking: a run's curves in TensorBoard and its record in MLflow, both beside the artifact and both optional.

Tracking        what was asked for, as callbacks of the fit and a last word about what was published
TrackingError   a package is missing, or the store cannot be reached
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from models.manifest import MANIFEST_FILE, Manifest
from training.config import TrainingConfig

_LONGEST_PARAMETER = 500


class TrackingError(RuntimeError):
    """Tracking cannot work as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where a run is tracked.

    Attributes:
        callbacks: To be given to the fit.
        mlflow_run: The run's record, if there is one.
    """

    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    mlflow_run: "MlflowRun | None" = None

    def published(self, manifest: Manifest) -> None:
        """Record what the run published."""
        if self.mlflow_run is not None:
            self.mlflow_run.log_manifest(manifest)


@contextmanager
def tracked(config: TrainingConfig, *, tensorboard: Path | None, mlflow: str | None) -> Iterator[Tracking]:
    """Track a run.

    Args:
        config: Of the run.
        tensorboard: Directory of TensorBoard's logs; none are written without it.
        mlflow: MLflow's tracking URI, such as `sqlite:///mlflow.db`; nothing is recorded without it.

    Raises:
        TrackingError: A package is missing, or the store cannot be reached.
    """
    with ExitStack() as stack:
        callbacks: list[keras.callbacks.Callback] = []
        if tensorboard is not None:
            callbacks.append(TensorBoardCurves(tensorboard))
        run = None
        if mlflow is not None:
            run = stack.enter_context(mlflow_run(mlflow, config))
            callbacks.append(run)
        yield Tracking(tuple(callbacks), run)


class TensorBoardCurves(keras.callbacks.Callback):
    """Writes every epoch's figures for TensorBoard.

    Args:
        directory: Where to.

    Raises:
        TrackingError: TensorBoard is not installed.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        _require("tensorboard")
        self._writer = tf.summary.create_file_writer(str(directory))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch's figures at step `epoch + 1`."""
        with self._writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the file."""
        self._writer.close()


class MlflowRun(keras.callbacks.Callback):
    """A run in MLflow: its configuration, every epoch's figures, what was measured in the end, and the manifest.

    Args:
        client: An `mlflow.MlflowClient`.
        run_id: Of the run.
    """

    def __init__(self, client: Any, run_id: str) -> None:  # noqa: ANN401  its class is in a package that may be missing
        super().__init__()
        self._client = client
        self._run_id = run_id

    def log_configuration(self, config: TrainingConfig) -> None:
        """Record every option under the name it has in the configuration."""
        for option, value in _options(config.model_dump(mode="json")):
            self._client.log_param(self._run_id, option, str(value)[:_LONGEST_PARAMETER])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch's figures at step `epoch + 1`."""
        for name, value in (logs or {}).items():
            self._client.log_metric(self._run_id, name, value, step=epoch + 1)

    def log_manifest(self, manifest: Manifest) -> None:
        """Record what was measured on the test period, as `model.metric`, and the manifest itself."""
        for metric in manifest.evaluation.metrics:
            self._client.log_metric(self._run_id, f"{metric.model}.{metric.name}", metric.value)
        self._client.set_tag(self._run_id, "version", manifest.version)
        self._client.log_text(self._run_id, manifest.model_dump_json(indent=2), MANIFEST_FILE)


@contextmanager
def mlflow_run(uri: str, config: TrainingConfig) -> Iterator[MlflowRun]:
    """A new run in the experiment of the model's name; it ends as failed if an error leaves the context.

    Args:
        uri: MLflow's tracking URI.
        config: Of the run.

    Raises:
        TrackingError: MLflow is not installed, or its store cannot be reached.
    """
    _require("mlflow")
    # Seconds to import, and not everyone has it.
    from mlflow import MlflowClient  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(config.name)
        experiment_id = client.create_experiment(config.name) if experiment is None else experiment.experiment_id
        run = MlflowRun(client, run_id := client.create_run(experiment_id).info.run_id)
        run.log_configuration(config)
    except MlflowException as error:
        raise TrackingError(f"Expected an MLflow store at {uri}. Received: {error}.") from error
    try:
        yield run
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise TrackingError(
            f"Expected the package {package}, to track the run. Received: it is not installed. "
            "Install seqrisk with the extra tracking, or leave the option out."
        )


def _options(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Options by their full names, such as `fit.batch_size`; those of no value are left out."""
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _options(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value
