import re
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
TEXT = (DEPLOY / "Containerfile").read_text()
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.DOTALL | re.MULTILINE))
SHIPPED = ("service", "training")


def test_the_base_is_pinned_by_its_digest() -> None:
    assert re.search(r"^ARG BASE=\S+:\S+@sha256:[0-9a-f]{64}$", TEXT, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)) == {"${BASE}", "pip"}


@pytest.mark.parametrize("stage", SHIPPED)
def test_an_image_runs_as_a_number_that_is_not_root(stage: str) -> None:
    user, group = re.findall(r"^USER (\d+):(\d+)$", STAGES[stage], re.MULTILINE)[-1]

    assert int(user) > 0
    assert int(group) > 0


@pytest.mark.parametrize("stage", SHIPPED)
def test_an_image_installs_nothing_itself_and_has_no_shell_in_its_way(stage: str) -> None:
    assert not re.search(r"\bpip\b|apt|curl", STAGES[stage])
    assert re.search(r'^ENTRYPOINT \["python", "-m", "(service|training)"\]$', STAGES[stage], re.MULTILINE)
    assert "HEALTHCHECK" not in STAGES[stage]


@pytest.mark.parametrize("stage", SHIPPED)
def test_libraries_come_from_a_lock_with_hashes(stage: str) -> None:
    libraries = STAGES[f"{stage}-libraries"]

    assert f"deploy/locks/{stage}-${{VARIANT}}.lock" in libraries
    assert "--require-hashes -r /opt/lock" in libraries
    assert (DEPLOY / "locks" / f"{stage}-cpu.lock").exists()


@pytest.mark.parametrize(("stage", "other"), [SHIPPED, SHIPPED[::-1]])
def test_an_image_has_one_room_beside_the_models(stage: str, other: str) -> None:
    copied = re.findall(r"^COPY .*$", STAGES[stage], re.MULTILINE)

    assert f"COPY {stage} /app/{stage}" in copied
    assert not any(other in line for line in copied)


def test_whatever_is_copied_is_let_into_the_build() -> None:
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", TEXT, re.MULTILINE))
    let_in = re.findall(r"^!(\S+)$", (DEPLOY.parent / ".dockerignore").read_text(), re.MULTILINE)

    assert {source for source in copied if not any(source.startswith(path) for path in let_in)} == set()


def test_a_build_without_a_target_makes_the_service() -> None:
    assert [*STAGES][-1] == "service"
