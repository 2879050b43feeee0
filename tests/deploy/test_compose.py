import shutil
import subprocess
from typing import Any

import pytest
import yaml

from service.settings import ENVIRONMENT_PREFIX, Settings
from tests.deploy.kustomizations import ROOT, one, overlay
from tests.deploy.rules import groups

DIRECTORY = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((DIRECTORY / "compose.yaml").read_text())


def test_it_runs_the_image_that_the_overlay_runs_with_its_limits() -> None:
    service = COMPOSE["services"]["service"]
    container = one(overlay("cpu"), "Deployment")["spec"]["template"]["spec"]["containers"][0]

    assert service["image"] == container["image"]
    assert str(service["cpus"]) == container["resources"]["limits"]["cpu"]
    assert service["mem_limit"] + "i" == container["resources"]["limits"]["memory"].lower()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_is_as_restricted_as_a_pod(name: str) -> None:
    service = COMPOSE["services"][name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["image"].rpartition(":")[2] not in {"", "latest"}
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert {"cpus", "mem_limit"} <= service.keys()


def test_its_variables_are_settings_and_its_patience_outlasts_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    service = COMPOSE["services"]["service"]
    assert all(name.startswith(ENVIRONMENT_PREFIX) for name in service["environment"])
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, value)

    settings = Settings.from_environment()

    drain_seconds = settings.drain_grace_seconds + settings.drain_timeout_seconds
    assert int(service["stop_grace_period"].removesuffix("s")) > drain_seconds


def test_its_files_are_there() -> None:
    mounted = [
        volume.partition(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", [])
    ]

    assert [source for source in mounted if source.startswith(".") and not (DIRECTORY / source).exists()] == []
    assert {source for source in mounted if not source.startswith(".")} == set(COMPOSE["volumes"])


def test_its_rules_are_those_of_the_overlay() -> None:
    """`make rules` copies them."""
    assert yaml.safe_load((DIRECTORY / "rules.yaml").read_text()) == {"groups": groups()}


def test_prometheus_takes_its_configuration() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yaml"], cwd=DIRECTORY, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_the_service() -> None:
    (scraped,) = yaml.safe_load((DIRECTORY / "prometheus.yaml").read_text())["scrape_configs"]
    (static,) = scraped["static_configs"]

    assert scraped["job_name"] == "seqrisk"
    assert static["targets"] == ["service:8080"]
    assert static["labels"].keys() == {"namespace", "pod"}
