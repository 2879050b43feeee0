import subprocess
import sys
from pathlib import Path

import numpy as np

from training.config import TrainingConfig
from training.risk_store import RiskStore, _sources, fingerprint

ROOT = Path(__file__).parents[2]


def test_risks_are_found_again_only_for_what_they_were_computed_from(tmp_path: Path) -> None:
    risks = np.array([0.1, 0.7])
    RiskStore(tmp_path, "as it was").write("network", 3, risks)

    found = RiskStore(tmp_path, "as it was").read("network", 3)
    assert found is not None
    assert np.array_equal(found, risks)
    assert RiskStore(tmp_path, "as it was").read("network", 4) is None
    assert RiskStore(tmp_path, "changed").read("network", 3) is None


def test_a_fingerprint_changes_with_what_risks_depend_on_and_with_nothing_else(
    config: TrainingConfig, workplace: Path, tmp_path: Path
) -> None:
    log_path = workplace / "log.csv"
    other_log = tmp_path / "log.csv"
    other_log.write_text(log_path.read_text() + "late,login,2027-01-01T00:00:00Z,0\n")
    wider = config.model_copy(update={"network": config.network.model_copy(update={"lstm_units": 9})})
    judged = config.model_copy(
        update={"seed": 9, "evaluation": config.evaluation.model_copy(update={"resamples": 900})}
    )

    told = fingerprint(config, log_path)

    assert fingerprint(judged, log_path) == told
    assert fingerprint(wider, log_path) != told
    assert fingerprint(config, other_log) != told


def test_a_fingerprint_knows_all_the_code_that_a_fit_imports() -> None:
    script = "import sys, training.contenders; print(*[getattr(m, '__file__', None) for m in sys.modules.values()])"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    own = {Path(path) for path in loaded.stdout.split() if Path(path).parent in {ROOT / "training", ROOT / "models"}}

    assert {path for path in own if path.name != "__init__.py"} <= _sources(ROOT / "training" / "contenders.py")
