"""What is shipped to watch the service, on a real Prometheus that scrapes a real one under a little load.

Every figure that a rule records, every expression of the dashboard and the autoscaler's query must have a value; and
once the service has gone, the alert that says so must be on its way.

From the root of the project: python -m tests.proofs.prove_monitoring  (needs Debian's package prometheus)
"""

import json
import math
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import yaml

from models.manifest import Manifest
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT, free_port
from tests.deploy.rules import MONITORING, groups, recorded
from tests.proofs.started import Started, command_line, ready
from tests.proofs.verdict import conclude, must_be_none

LOAD_SECONDS = 20
SCRAPE_SECONDS = 1

_WINDOW = "15s"
_PROMETHEUS_SECONDS = 30
_LONG = 200


def main() -> None:
    """Start both, send requests, ask Prometheus."""
    options = command_line(__doc__).parse_args()
    conclude("Monitoring", prove(options.repository))


def prove(repository: Path) -> list[Row]:
    """Ask for everything while requests are sent, and for the alert after the service has gone."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        manifest = _publish_twice(repository, directory / "repository")
        settings = {"version": 1, "challenger_version": 2, "canary_share": 0.5}
        with ready(directory / "repository", **settings) as service, _prometheus(service.url, directory) as prometheus:
            lint = _lint(service.url)
            with _requests(service, manifest):
                sleep(LOAD_SECONDS)
                rows = [
                    _row("recorded figures", [rule["record"] for rule in recorded()], prometheus),
                    _row("expressions of the dashboard", list(_panels()), prometheus),
                    _row("queries of the autoscalers", [_adapter_query(), _keda_query()], prometheus),
                ]
            service.process.kill()
            service.process.wait()
            sleep(5 * SCRAPE_SECONDS)
            alert = 'ALERTS{alertname="SeqriskPodUnreachable", alertstate="pending"}'
            return [*rows, _row("alerts once the service has gone", [alert], prometheus), lint]


def _publish_twice(repository: Path, directory: Path) -> Manifest:
    """A repository with the first version of `repository` as champion and, once more, as challenger."""
    source = next(path for path in sorted(repository.glob("*/1")))
    for version in (1, 2):
        target = directory / source.parent.name / str(version)
        shutil.copytree(source, target)
        content = json.loads((target / "manifest.json").read_text())
        (target / "manifest.json").write_text(json.dumps({**content, "version": version}))
    return Manifest.model_validate_json((source / "manifest.json").read_bytes())


@contextmanager
def _prometheus(service_url: str, directory: Path) -> Iterator[httpx.Client]:
    """Prometheus with the shipped configuration and rules, only quicker."""
    configuration = yaml.safe_load((ROOT / "deploy" / "compose" / "prometheus.yaml").read_text())
    configuration["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{SCRAPE_SECONDS}s")
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [service_url.removeprefix("http://")]
    rules = [{**group, "interval": f"{SCRAPE_SECONDS}s"} for group in groups()]
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": rules}))
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    with (directory / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={directory / 'prometheus.yaml'}"),
                *(f"--storage.tsdb.path={directory / 'figures'}", f"--web.listen-address={address}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            with httpx.Client(base_url=f"http://{address}", timeout=30) as client:
                _wait(client)
                yield client
        finally:
            process.terminate()
            process.wait()


def _wait(client: httpx.Client) -> None:
    until = monotonic() + _PROMETHEUS_SECONDS
    while monotonic() < until:
        try:
            if client.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        sleep(0.1)
    raise TimeoutError("Expected Prometheus to be ready. Received: no answer in time.")


@contextmanager
def _requests(service: Started, manifest: Manifest) -> Iterator[None]:
    """Send requests of every kind until the block ends: sound ones, unknown and long histories, and bad ones."""
    drawn = traffic.sequences(manifest, seed=1)
    long = traffic.sequences(manifest, seed=2, length=max(_LONG, manifest.max_events + 1))
    unknown = {"event_types": ["never seen"], "elapsed_minutes": [0]}
    sound = [{"sequences": [{**next(drawn), "id": f"entity {number}"}, next(long), unknown]} for number in range(_LONG)]
    bodies = cycle([*(json.dumps(body).encode() for body in sound), b"{"])
    ended = threading.Event()

    def send() -> None:
        with httpx.Client(timeout=30) as client:
            while not ended.is_set():
                client.post(f"{service.url}/v1/score", content=next(bodies))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _panels() -> Iterator[str]:
    """What the dashboard asks for, with Grafana's variables filled in."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = {"$namespace": "compose", "$pod": ".+", "$__rate_interval": _WINDOW}
    for expression in expressions:
        filled = expression
        for name, value in variables.items():
            filled = filled.replace(name, value)
        yield filled


def _adapter_query() -> str:
    """What Prometheus' adapter asks for the HorizontalPodAutoscaler."""
    (rule,) = yaml.safe_load((MONITORING / "prometheus-adapter-values.yaml").read_text())["rules"]["custom"]
    query: str = rule["metricsQuery"]
    filled = {
        "Series": rule["seriesQuery"].partition("{")[0],
        "LabelMatchers": 'namespace="compose",pod=~"service"',
        "GroupBy": "pod",
    }
    return re.sub(r"<<\.(\w+)>>", lambda found: filled[found[1]], query)


def _keda_query() -> str:
    scaled = yaml.safe_load((MONITORING.parent / "keda" / "scaled-object.yaml").read_text())
    query: str = scaled["spec"]["triggers"][0]["metadata"]["query"]
    return query.replace('"seqrisk"', '"compose"')


def _row(what: str, expressions: list[str], prometheus: httpx.Client) -> Row:
    empty = [expression for expression in expressions if not _values(expression, prometheus)]
    for expression in empty:
        print(f"Nothing for: {expression}")
    return must_be_none(f"{what} without a value", len(empty), among=len(expressions))


def _values(expression: str, prometheus: httpx.Client) -> list[float]:
    answer: dict[str, Any] = prometheus.get("/api/v1/query", params={"query": expression}).raise_for_status().json()
    values = [float(series["value"][1]) for series in answer["data"]["result"]]
    return [value for value in values if not math.isnan(value)]


def _lint(service_url: str) -> Row:
    text = httpx.get(f"{service_url}/metrics", timeout=30).raise_for_status().content
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    ours = [line for line in done.stderr.decode().splitlines() if line.startswith("seqrisk_")]
    for line in ours:
        print(line)
    return must_be_none("metrics that promtool finds fault with", len(ours), among=text.count(b"# HELP seqrisk_"))


if __name__ == "__main__":
    main()
