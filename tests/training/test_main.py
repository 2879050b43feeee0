import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from models.repository import Artifact, Repository
from tests.training.runs import Run, run_train

ROOT = Path(__file__).parents[2]


def test_training_twice_publishes_two_versions_with_the_same_figures(
    artifact: Artifact, repository: Repository
) -> None:
    assert repository.versions("refunds") == [1, 2]

    again = repository.open("refunds").manifest
    assert again.version == 2
    assert again.evaluation == artifact.manifest.evaluation
    assert again.golden_examples == artifact.manifest.golden_examples
    assert again.provenance == artifact.manifest.provenance


def test_a_run_shows_its_figures_its_version_and_how_to_serve_it(two_runs: tuple[Run, Run]) -> None:
    output = two_runs[1].output

    assert "roc_auc_weighted" in output
    assert "Published refunds version 2" in output
    assert "SEQRISK_MODEL=refunds python -m service serve" in output


def test_a_wrong_configuration_or_log_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    config = tmp_path / "churn.toml"
    assert run_train(str(config)).output.startswith("Expected a training configuration at")

    config.write_text('name = "churn"\npredicts = "they leave"\n[data]\npath = "log.csv"\n')
    run = run_train(str(config))

    assert run.exit_code == 1
    assert "Expected a CSV or Parquet event log at" in run.output


def test_a_killed_run_leaves_no_version(workplace: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "training",
        "train",
        str(workplace / "refunds.toml"),
        "--repository",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("refunds/.staging-*/saved_model.pb")):
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    assert Repository(tmp_path).names() == []
    assert all(path.name.startswith(".staging-") for path in (tmp_path / "refunds").iterdir())
