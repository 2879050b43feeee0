import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kustomizations import one, overlay
from tests.deploy.rules import Rule, alerts, groups, recorded, unknown_metrics

SCENARIOS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "monitoring" / "alerts.yaml").read_text())[
    "tests"
]


def promtool(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    return subprocess.run(["promtool", *arguments], cwd=directory, capture_output=True, text=True, check=False)


def meant_by(scenario: dict[str, Any]) -> list[Rule]:
    """The alerts that a scenario is about, after the figures that they read."""
    names = {expectation["alertname"] for expectation in scenario["alert_rule_test"]}
    # What is said then, another test reads.
    called = [
        {key: value for key, value in rule.items() if key != "annotations"}
        for rule in alerts()
        if rule["alert"] in names
    ]
    read = " ".join(rule["expr"] for rule in called)
    return [*(rule for rule in recorded() if rule["record"] in read), *called]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_alerts_fire_and_stay_silent_as_they_should(scenario: dict[str, Any], tmp_path: Path) -> None:
    rules = {"groups": [{"name": "rules", "rules": meant_by(scenario)}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    scenarios = {"rule_files": ["rules.yaml"], "evaluation_interval": scenario["interval"], "tests": [scenario]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(scenarios))

    done = promtool("test", "rules", "tests.yaml", directory=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_to_stay_silent() -> None:
    expected = [expectation for scenario in SCENARIOS for expectation in scenario["alert_rule_test"]]
    fired = {expectation["alertname"] for expectation in expected if expectation["exp_alerts"]}
    silent = {expectation["alertname"] for expectation in expected if not expectation["exp_alerts"]}

    assert fired == silent == {rule["alert"] for rule in alerts()}


def test_what_an_alert_says_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}))

    done = promtool("check", "rules", "rules.yaml", directory=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_severity_a_sentence_and_its_entry_in_the_runbook() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook"] == f"deploy/README.md#{rule['alert'].lower()}"


def test_rules_name_metrics_that_exist() -> None:
    assert {rule["expr"]: unknown_metrics(rule["expr"]) for rule in [*alerts(), *recorded()]} == {
        rule["expr"]: [] for rule in [*alerts(), *recorded()]
    }


def test_the_alert_of_memory_knows_the_limit() -> None:
    pod = one(overlay("cpu"), "Deployment")["spec"]["template"]["spec"]
    (rule,) = (rule for rule in alerts() if rule["alert"] == "SeqriskMemoryNearLimit")

    limit = pod["containers"][0]["resources"]["limits"]["memory"]
    assert f"0.9 * {limit.removesuffix('Mi')} * 1024 * 1024" in rule["expr"]


def test_the_alert_of_waits_is_five_times_the_target() -> None:
    pods, _ = one(overlay("cpu"), "HorizontalPodAutoscaler")["spec"]["metrics"]
    (rule,) = (rule for rule in alerts() if rule["alert"] == "SeqriskQueueWaitHigh")

    target_seconds = float(pods["pods"]["target"]["averageValue"].removesuffix("m")) / 1000
    assert rule["expr"].endswith(f"> {5 * target_seconds:g}")
