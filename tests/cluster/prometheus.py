"""A real Prometheus that scrapes the pods and evaluates the rules, both as often and as deploy/ says."""

import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from tests.benchmarks.servers import ROOT
from tests.cluster.cluster import NAMESPACE, Cluster
from tests.cluster.processes import Processes

URL = "http://127.0.0.1:19090"
MONITORING = ROOT / "deploy" / "kustomize" / "overlays" / "monitoring"

_START_SECONDS = 60
_DISCOVERY_SECONDS = 2


class Prometheus:
    """Answers expressions."""

    def by_pod(self, expression: str) -> dict[str, float]:
        """The expression's value for each pod that has one."""
        answer = httpx.get(f"{URL}/api/v1/query", params={"query": expression}, timeout=10).raise_for_status()
        found = {one["metric"]["pod"]: float(one["value"][1]) for one in answer.json()["data"]["result"]}
        return {pod: value for pod, value in found.items() if math.isfinite(value)}


@contextmanager
def scraping(cluster: Cluster, directory: Path) -> Iterator[Prometheus]:
    """Start Prometheus; it ends with the context. It writes into `directory`."""
    configuration, targets = directory / "prometheus.yaml", directory / "targets.json"
    configuration.write_text(_configuration(directory / "rules.yaml", targets))
    _find(cluster, targets)
    is_over = threading.Event()

    def discover() -> None:
        # Debian's Prometheus knows no Kubernetes, only files.
        while not is_over.wait(_DISCOVERY_SECONDS):
            _find(cluster, targets)

    discovery = threading.Thread(target=discover)
    with Processes(directory) as processes:
        listen, store = URL.removeprefix("http://"), directory / "prometheus"
        arguments = [f"--config.file={configuration}", f"--storage.tsdb.path={store}", f"--web.listen-address={listen}"]
        processes.start("prometheus", ["prometheus", *arguments])
        processes.wait_for("prometheus", ["curl", "--fail", "--silent", f"{URL}/-/ready"], _START_SECONDS)
        discovery.start()
        try:
            yield Prometheus()
        finally:
            is_over.set()
            discovery.join()


def _configuration(rules: Path, targets: Path) -> str:
    shipped = yaml.safe_load((MONITORING / "prometheus-rule.yaml").read_text())["spec"]
    rules.write_text(yaml.safe_dump({"groups": shipped["groups"]}))
    interval = yaml.safe_load((MONITORING / "pod-monitor.yaml").read_text())["spec"]["podMetricsEndpoints"][0][
        "interval"
    ]
    found = [{"files": [str(targets)], "refresh_interval": f"{_DISCOVERY_SECONDS}s"}]
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": interval, "evaluation_interval": "5s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "seqrisk", "file_sd_configs": found}],
        }
    )


def _find(cluster: Cluster, targets: Path) -> None:
    """Write down every pod that has an address, as the operator's Prometheus would find it."""
    found = [
        {
            "targets": [f"{pod['status']['podIP']}:8080"],
            "labels": {"namespace": NAMESPACE, "pod": pod["metadata"]["name"]},
        }
        for pod in cluster.pods()
        if pod["status"].get("podIP")
    ]
    written = targets.with_suffix(".new")
    written.write_text(json.dumps(found))
    written.replace(targets)
