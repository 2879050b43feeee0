"""What the benchmarks of tests/benchmarks start."""

from pathlib import Path

import pytest

from tests.benchmarks.servers import service


def test_a_service_that_was_measured_ends_without_a_grace(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with service(repository, max_batch=1):
        pass

    assert "requests are answered for 0 s more" in capfd.readouterr().err
