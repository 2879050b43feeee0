import json
from typing import Any

import yaml

from tests.deploy.kustomizations import one, overlay
from tests.deploy.rules import MONITORING, recorded, unknown_metrics

DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_the_overlay_hands_the_dashboard_to_grafana() -> None:
    handed = one(overlay("monitoring"), "ConfigMap", "seqrisk-dashboard")

    assert json.loads(handed["data"]["seqrisk.json"]) == DASHBOARD
    assert handed["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_every_panel_says_what_it_shows() -> None:
    assert all(panel["title"] and panel["description"].endswith(".") and panel["targets"] for panel in PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_show_metrics_that_exist() -> None:
    expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]

    assert [name for expression in expressions for name in unknown_metrics(expression)] == []


def test_no_panel_covers_another() -> None:
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_adapter_hands_on_what_the_autoscaler_asks_for() -> None:
    (rule,) = yaml.safe_load((MONITORING / "prometheus-adapter-values.yaml").read_text())["rules"]["custom"]
    pods, _ = one(overlay("cpu"), "HorizontalPodAutoscaler")["spec"]["metrics"]

    assert rule["name"]["as"] == pods["pods"]["metric"]["name"]
    assert rule["seriesQuery"].partition("{")[0] in [rule["record"] for rule in recorded()]


def test_prometheus_scrapes_the_pods() -> None:
    monitor = one(overlay("monitoring"), "PodMonitor")["spec"]
    template = one(overlay("cpu"), "Deployment")["spec"]["template"]
    (endpoint,) = monitor["podMetricsEndpoints"]

    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert endpoint["port"] in [port["name"] for port in template["spec"]["containers"][0]["ports"]]
