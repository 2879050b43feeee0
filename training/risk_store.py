"""The risk store: risks of finished fits on disk, so that an evaluation that was broken off goes on where it was.

RiskStore     one directory an evaluation, one file a model and seed
fingerprint   what risks depend on: configuration, data, code, libraries
"""

import ast
import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.config import TrainingConfig
from training.provenance import file_sha256, library_versions

_ROOT = Path(__file__).resolve().parent.parent
_FITTING = "training/contenders.py"


class RiskStore:
    """Risks by model and seed; those of another configuration, log or code are as good as none.

    Args:
        directory: Where they are.
        told: Their `fingerprint`.
    """

    def __init__(self, directory: Path, told: str) -> None:
        self._directory = directory
        self._told = told

    def read(self, model: str, seed: int) -> NDArray[np.float64] | None:
        """Risks of the test period, float64 (prefix,), or None if they are still to be computed."""
        path = self._path(model, seed)
        if not path.exists():
            return None
        with np.load(path) as kept:
            risks: NDArray[np.float64] = kept["risks"]
            return risks if str(kept["told"]) == self._told else None

    def write(self, model: str, seed: int, risks: NDArray[np.float64]) -> None:
        """Keep risks, whole or not at all."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(model, seed)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, risks=risks, told=np.array(self._told))
        unfinished.replace(path)

    def _path(self, model: str, seed: int) -> Path:
        return self._directory / f"{model}.{seed}.npz"


def fingerprint(config: TrainingConfig, log_path: Path) -> str:
    """SHA-256 of what risks depend on beside model and seed.

    Args:
        config: What is trained; what only names, judges or serves it does not count.
        log_path: The event log.
    """
    without: dict[str, bool | set[str]] = {
        "name": True,
        "predicts": True,
        "seed": True,
        "tune": True,
        "data": {"path"},
        "evaluation": {"resamples"},
        "serving": {"bands", "max_elapsed_minutes"},
    }
    told = {
        "configuration": config.model_dump(mode="json", exclude=without),
        "data": file_sha256(log_path),
        "code": {str(path.relative_to(_ROOT)): file_sha256(path) for path in sorted(_sources(_ROOT / _FITTING))},
        "libraries": library_versions(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _sources(path: Path) -> set[Path]:
    """A file of this project and all of this project that it imports."""
    found, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                module = _ROOT.joinpath(*node.module.split("."))
                named = [module.with_suffix(".py"), *((module / one.name).with_suffix(".py") for one in node.names)]
                waiting += [source for source in named if source.is_file()]
    return found
