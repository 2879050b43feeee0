from importlib import util
from pathlib import Path

import pytest
from tensorflow.core.util.event_pb2 import Event
from tensorflow.data import TFRecordDataset

from models.repository import Repository
from training.__main__ import DEFAULT_REPOSITORY
from training.config import TrainingConfig
from training.tracking import TrackingError, tracked

FIGURES = {"loss": 0.5, "validation_roc_auc_weighted": 0.7}


def test_tensorboard_gets_every_epoch(tmp_path: Path, config: TrainingConfig) -> None:
    with tracked(config, tensorboard=tmp_path, mlflow=None) as tracking:
        for epoch in range(2):
            for callback in tracking.callbacks:
                callback.on_epoch_end(epoch, FIGURES)

    (path,) = tmp_path.iterdir()
    events = [Event.FromString(record.numpy()) for record in TFRecordDataset(str(path))]
    written = [(event.step, value.tag) for event in events for value in event.summary.value]
    assert written == [(step, name) for step in (1, 2) for name in FIGURES]


# MLflow's own use of SQLAlchemy.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_mlflow_gets_options_epochs_and_what_was_published(tmp_path: Path, config: TrainingConfig) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415  seconds, and only this test needs it

    manifest = Repository(DEFAULT_REPOSITORY).open("sla-breach").manifest
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        # Where MLflow puts artifacts of a store that is a file.
        patch.chdir(tmp_path)
        with tracked(config, tensorboard=None, mlflow=uri) as tracking:
            for epoch in range(2):
                for callback in tracking.callbacks:
                    callback.on_epoch_end(epoch, FIGURES)
            tracking.published(manifest)
        with pytest.raises(KeyboardInterrupt), tracked(config, tensorboard=None, mlflow=uri):
            raise KeyboardInterrupt

        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(config.name)
        assert experiment is not None
        failed, run = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
        losses = client.get_metric_history(run.info.run_id, "loss")
        files = [file.path for file in client.list_artifacts(run.info.run_id)]

    assert (failed.info.status, run.info.status) == ("FAILED", "FINISHED")
    assert run.data.params["fit.batch_size"] == "64"
    assert [metric.step for metric in losses] == [1, 2]
    published = {f"{metric.model}.{metric.name}": metric.value for metric in manifest.evaluation.metrics}
    assert published.items() <= run.data.metrics.items()
    assert files == ["manifest.json"]


@pytest.mark.parametrize("package", ["tensorboard", "mlflow"])
def test_a_missing_package_is_named_with_the_way_out(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr("training.tracking.find_spec", lambda name: None if name == package else util.find_spec(name))

    with (
        pytest.raises(TrackingError, match=f"the package {package}, .* Install seqrisk with the extra tracking"),
        tracked(config, tensorboard=tmp_path, mlflow=f"sqlite:///{tmp_path}/mlflow.db"),
    ):
        pass
