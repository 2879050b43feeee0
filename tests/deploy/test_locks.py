import re
from pathlib import Path

import pytest

LOCKS = sorted((Path(__file__).parents[2] / "deploy" / "locks").glob("*.lock"))

Pin = tuple[str, str]


def pins(lock: Path) -> set[Pin]:
    return set(re.findall(r"^([a-z0-9.-]+(?:\[[a-z-]+\])?)==([^ \\]+)", lock.read_text(), re.MULTILINE))


def names(lock: str) -> set[str]:
    return {name for name, _ in pins(next(path for path in LOCKS if path.stem == lock))}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_names_no_registry(lock: Path) -> None:
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_carries_hashes(lock: Path) -> None:
    text = lock.read_text()

    num_pins = len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    assert num_pins == len(re.findall(r"^\S[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_all_locks_agree_on_what_they_share(lock: Path) -> None:
    development = dict[str, set[str]]()
    for name, version in pins(next(path for path in LOCKS if path.stem == "development")):
        development.setdefault(name, set()).add(version)

    assert all(version in development[name] for name, version in pins(lock) if name in development)


def test_the_cpu_service_carries_neither_gpu_builds_nor_training_libraries() -> None:
    service = names("service-cpu")

    assert "tensorflow-cpu" in service
    assert not any(name.startswith("nvidia-") for name in service)
    assert not service & {"polars", "scikit-learn", "rich-toolkit", "pytest"}


def test_the_gpu_service_carries_the_cuda_libraries() -> None:
    service = names("service-gpu")

    assert any(name.startswith("nvidia-") for name in service)
    assert "tensorflow-cpu" not in service
