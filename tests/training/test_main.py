import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

from models.repository import Artifact, Repository
from tests.training.conftest import CONFIGURATION
from tests.training.runs import Run, run_train
from training.checkpoints import CHECKPOINT_FILE
from training.report import REPORT_FILE

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

    assert "weighted ROC AUC" in output
    assert "Published refunds version 2" in output
    assert "SEQRISK_MODEL=refunds make serve" in output


def test_a_wrong_configuration_or_log_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    config = tmp_path / "churn.toml"
    absent = run_train(str(config))
    assert absent.exit_code == 2
    assert absent.output.startswith("Expected a training configuration at")

    config.write_text('name = "churn"\npredicts = "they leave"\n[data]\npath = "log.csv"\n')
    run = run_train(str(config))

    assert run.exit_code == 1
    assert "Expected a CSV, Parquet or XES event log at" in run.output


def test_a_repository_that_cannot_be_written_to_is_found_out_before_the_fit(workplace: Path) -> None:
    run = run_train(str(workplace / "refunds.toml"), "--repository", str(workplace / "log.csv"))

    assert run.exit_code == 1
    assert "Expected to write to the repository" in run.output
    assert "epoch" not in run.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("--seed", "4294967296"), "--seed"), (("--repository", "nowhere://x"), "Protocol not known: nowhere")],
)
def test_a_wrong_option_is_refused(workplace: Path, arguments: tuple[str, str], reason: str) -> None:
    run = run_train(str(workplace / "refunds.toml"), *arguments)

    assert run.exit_code == 2
    assert reason in run.output


def test_names_with_brackets_are_shown_as_they_are(workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text((workplace / "refunds.toml").read_text().replace("log.csv", "[/log].csv"))

    assert "Reading [/log].csv" in run_train(str(tmp_path / "odd.toml")).output


def test_the_command_line_runs_as_a_module_and_says_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "train", str(tmp_path / "absent.toml")]

    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert finished.returncode == 2
    assert finished.stderr.startswith("Expected a training configuration at")
    assert len(finished.stderr.splitlines()) == 1


def test_an_interrupted_run_that_keeps_checkpoints_says_how_it_goes_on(workplace: Path, tmp_path: Path) -> None:
    endless = (workplace / "refunds.toml").read_text().replace("max_epochs = 3", "max_epochs = 1000\npatience = 1000")
    (tmp_path / "refunds.toml").write_text(endless.replace("log.csv", str(workplace / "log.csv")))
    run_directory = tmp_path / "run"
    command = [sys.executable, "-m", "training", "train", str(tmp_path / "refunds.toml")]
    command += ["--repository", str(tmp_path / "models"), "--run-directory", str(run_directory)]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not (run_directory / CHECKPOINT_FILE).exists():
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=60)

    assert run.returncode == 1
    assert told.splitlines()[-1] == "Stopped. Run the same command again to go on."
    assert "Traceback" not in told


@pytest.fixture
def labelled(workplace: Path, tmp_path: Path) -> Path:
    """A directory with a log of which a further label, the first one's opposite, is known of four sequences in five."""
    header, *rows = (workplace / "log.csv").read_text().splitlines()
    moved = []
    for row in rows:
        is_known = int(row.split(",")[0].removeprefix("c")) % 5 != 0
        moved.append(f"{row},{1 - int(row[-1])}" if is_known else f"{row},")
    (tmp_path / "log.csv").write_text("\n".join([f"{header},moved", *moved]) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("data", "network"),
    [
        ("", 'auxiliary_target = "next_event"'),
        ("", 'auxiliary_target = "minutes_to_next_event"\ntime = "both"'),
        ('further_label_columns = ["moved"]', 'num_labels = 2\nauxiliary_target = "next_event"\nmembers = 2'),
    ],
)
def test_whatever_a_network_learns_beside_the_risk_its_artifact_answers_as_any_other(
    labelled: Path, data: str, network: str
) -> None:
    configuration = CONFIGURATION.replace("[vocabulary]", f"{data}\n[vocabulary]")
    configuration = configuration.replace("[network]", f"[network]\n{network}")
    (labelled / "refunds.toml").write_text(configuration.replace("max_epochs = 3", "max_epochs = 2"))

    run = run_train(str(labelled / "refunds.toml"), "--repository", str(labelled / "models"), "--publish-worse")

    assert run.exit_code == 0, run.output
    artifact = Repository(str(labelled / "models")).open("refunds", 1)
    signature = tf.saved_model.load(str(artifact.directory)).signatures["serving_default"]
    assert set(signature.structured_outputs) == {"risk", "auxiliary_risk"}
    ranked = {metric.name for metric in artifact.manifest.evaluation.metrics if "_of_label_" in metric.name}
    assert ranked == ({"roc_auc_weighted_of_label_2"} if data else set())
    assert ("network, further label moved: " in run.output) == bool(data)
    assert ('<th scope="row">moved</th>' in (artifact.directory / REPORT_FILE).read_text()) == bool(data)
