"""Provenance: what a model was made of, so that it can be made again."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import polars as pl
import sklearn
import tensorflow as tf

from models.manifest import Provenance
from training import __version__
from training.config import TrainingConfig

_SOURCE = Path(__file__).resolve().parent.parent


def provenance(config: TrainingConfig, log_path: Path) -> Provenance:
    """Describe a run of this code with `config` on the file at `log_path`."""
    return Provenance(
        config=config.model_dump(mode="json"),
        data_sha256=file_sha256(log_path),
        code_version=code_version(),
        library_versions=library_versions(),
        seed=config.seed,
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_version() -> str:
    """`git describe` of the source tree, or the package's version where there is none."""
    git = shutil.which("git")
    # Installed into somebody else's repository, `git describe` would name theirs.
    if git is None or not (_SOURCE / ".git").exists():
        return __version__
    described = subprocess.run(  # noqa: S603 - the arguments are constants
        [git, "describe", "--always", "--dirty", "--tags"], cwd=_SOURCE, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or __version__


def library_versions() -> dict[str, str]:
    """Versions of what the model's weights and figures depend on."""
    libraries = (keras, np, pl, sklearn, tf)
    return {library.__name__: library.__version__ for library in libraries}
