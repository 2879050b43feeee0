import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.__main__ import app
from training.benchmark import BenchmarkError, choose_models, find_subjects
from training.contenders import CONTENDERS
from training.results import Evaluation

NARROW = ("--seeds", "1", "--models", "network_shuffled_order")
MODELS = {"network", "network_shuffled_order", "gradient_boosting"}


def run_evaluate(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def data(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one log, and a small configuration beside it."""
    directory = tmp_path_factory.mktemp("data")
    (directory / "refunds.csv").write_text((workplace / "log.csv").read_text())
    configuration = (workplace / "refunds.toml").read_text().replace("max_epochs = 3", "max_epochs = 1")
    (directory / "refunds.toml").write_text(configuration)
    return directory


@pytest.fixture(scope="module")
def first(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    output = tmp_path_factory.mktemp("output")
    return output, *run_evaluate(str(data), *NARROW, "--output", str(output))


def test_every_chosen_contender_is_measured_and_kept_as_json(first: tuple[Path, int, str]) -> None:
    output, exit_code, text = first

    assert exit_code == 0, text
    evaluation = Evaluation.read(output / "refunds.json")
    assert set(evaluation.models) == MODELS
    summary = json.loads((output / "summary.json").read_text())
    assert summary["refunds"]["verdict"] == evaluation.verdict
    assert evaluation.sentence.split(":")[0] in text


def test_finished_fits_are_not_made_again(first: tuple[Path, int, str], data: Path) -> None:
    output, _, _ = first

    exit_code, text = run_evaluate(str(data), *NARROW, "--output", str(output))

    assert exit_code == 0
    assert text.count("(as kept)") == len(MODELS)


def test_one_log_that_cannot_be_trained_on_does_not_stop_the_others(
    first: tuple[Path, int, str], data: Path, tmp_path: Path
) -> None:
    output, _, _ = first
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "empty.csv").write_text("sequence_id,event_type,timestamp,label\n")

    exit_code, text = run_evaluate(str(tmp_path), *NARROW, "--output", str(output))

    assert exit_code == 1
    assert "Expected logs that can be trained on. Received: empty:" in text
    assert "network, seed 7" in text


def test_a_log_is_evaluated_with_its_own_configurations_the_shipped_ones_or_the_defaults(tmp_path: Path) -> None:
    for name in ("own.csv", "itsm_sla_breach_6k.csv.gz", "Other Log.parquet", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "own.toml").write_text('name = "own"\npredicts = "x"\n[data]\npath = "elsewhere.csv"\n')
    (tmp_path / "own.wide.toml").write_text(
        'name = "own-wide"\npredicts = "x"\n[data]\npath = "y.csv"\n[network]\nlstm_units = 99\n'
    )

    subjects = {subject.name: subject for subject in find_subjects(tmp_path)}

    assert set(subjects) == {"own", "own.wide", "itsm_sla_breach_6k", "itsm_sla_breach_6k.clock", "Other Log"}
    assert subjects["own.wide"].config.network.lstm_units == 99
    assert subjects["own"].config.data.path == "own.csv"
    assert subjects["Other Log"].config.name == "other-log"
    assert subjects["itsm_sla_breach_6k.clock"].config.inputs[0].kind == "clock"
    assert [one.name for one in find_subjects(tmp_path, ["own.wide"])] == ["own.wide"]
    assert [one.name for one in find_subjects(tmp_path, ["own"])] == ["own"]


def test_a_directory_without_the_log_that_is_asked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="Expected event logs named churn "):
        find_subjects(tmp_path, ["churn"])
    exit_code, text = run_evaluate(str(tmp_path / "absent"))
    assert (exit_code, text[:35]) == (2, "Expected a directory with event log")


def test_the_models_of_the_verdict_are_always_among_those_chosen() -> None:
    assert choose_models(["logistic_regression"]) == ("network", "gradient_boosting", "logistic_regression")
    assert choose_models([]) == CONTENDERS
    with pytest.raises(BenchmarkError, match="Received: forest"):
        choose_models(["forest"])
