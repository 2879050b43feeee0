import os
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from service.__main__ import commands
from service.keys import read_keys
from tests.deploy.kustomizations import COMPONENTS, KUSTOMIZE, OVERLAYS, ROOT, build
from tests.deploy.rules import alerts

README = (ROOT / "deploy" / "README.md").read_text()
HEADINGS = re.findall(r"^#+ (.+)$", README, re.MULTILINE)


def block(language: str, word: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if word in text)


@pytest.mark.parametrize("alert", [rule["alert"] for rule in alerts()])
def test_every_alert_has_its_entry_in_the_runbook(alert: str) -> None:
    assert alert in HEADINGS


def test_every_alert_of_the_runbook_exists() -> None:
    assert [heading for heading in HEADINGS if re.fullmatch(r"Seqrisk[A-Z]\w+", heading)] == [
        rule["alert"] for rule in alerts()
    ]


@pytest.mark.parametrize("name", [*OVERLAYS, *COMPONENTS])
def test_every_overlay_and_component_is_explained(name: str) -> None:
    assert f"`{name}`" in README


def test_every_relative_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!http|#)([^)#]+)", README)

    assert [link for link in links if not (ROOT / "deploy" / link).exists()] == []


def test_every_anchor_has_a_heading() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in HEADINGS}

    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors


def test_the_overlay_of_ones_own_can_be_built(tmp_path: Path) -> None:
    # Kustomize takes no absolute paths.
    content = block("yaml", "components:").replace("seqrisk/deploy/kustomize", os.path.relpath(KUSTOMIZE, tmp_path))
    (tmp_path / "kustomization.yaml").write_text(content)

    kinds = {manifest["kind"] for manifest in build(tmp_path)}

    assert {"Deployment", "PrometheusRule", "HorizontalPodAutoscaler"} <= kinds


def test_every_command_names_a_directory_that_is_there() -> None:
    named = re.findall(r"-k (deploy/\S+)", README)

    assert named
    assert [path for path in named if not (ROOT / path / "kustomization.yaml").exists()] == []


def test_the_command_for_a_new_key_writes_a_line_that_the_service_takes() -> None:
    (arguments,) = re.findall(r"^docker run --rm seqrisk/service:\S+ (keys .+) >> keys\.toml$", README, re.MULTILINE)

    done = CliRunner().invoke(commands, arguments.split())

    assert done.exit_code == 0
    assert list(read_keys(done.stdout.encode())) == ["shop"]


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", README))

    assert {"cluster-test", "monitoring-test"} <= named <= targets


def test_the_recipe_of_managed_services_is_yaml() -> None:
    assert all(list(yaml.safe_load_all(text)) for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
