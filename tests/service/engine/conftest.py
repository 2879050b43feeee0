from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def artifact(repository: Path) -> Path:
    return repository / "tiny" / "1"
