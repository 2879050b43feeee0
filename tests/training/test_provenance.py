import hashlib
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import training
from training import provenance as module
from training.config import TrainingConfig
from training.provenance import code_version, provenance

ROOT = Path(__file__).parents[2]


def test_it_names_the_configuration_and_the_data(config: TrainingConfig, workplace: Path) -> None:
    made_of = provenance(config, workplace / "log.csv")

    assert TrainingConfig.model_validate(made_of.config) == config
    assert made_of.data_sha256 == hashlib.sha256((workplace / "log.csv").read_bytes()).hexdigest()
    assert made_of.seed == config.seed
    assert {"tensorflow", "keras", "numpy"} <= made_of.library_versions.keys()


def test_a_source_tree_is_described_by_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = shutil.which("git")
    assert git is not None
    for arguments in (
        ["init"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--allow-empty", "-m", "first"],
    ):
        subprocess.run([git, *arguments], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([git, "tag", "v9.9"], cwd=tmp_path, check=True)
    monkeypatch.setattr(module, "_SOURCE", tmp_path)

    assert code_version() == "v9.9"


def test_an_installed_package_is_described_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SOURCE", tmp_path)

    assert code_version() == training.__version__


def test_the_package_and_the_distribution_have_one_version() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == training.__version__
