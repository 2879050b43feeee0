"""What a Prometheus adapter and a metrics server answer the HorizontalPodAutoscaler, for a cluster that has neither."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.cluster.certificates import Authority
from tests.cluster.cluster import NAMESPACE, Cluster, Manifest
from tests.cluster.node import GATEWAY
from tests.cluster.prometheus import Prometheus

PORT = 6444
CUSTOM, RESOURCE = "custom.metrics.k8s.io", "metrics.k8s.io"
METRIC = "seqrisk_queue_wait_seconds"
# What the adapter's rule in deploy/ makes of the recorded series.
WAIT_SECONDS = f'clamp_max(avg by (pod) (seqrisk:queue_wait_seconds:mean1m{{namespace="{NAMESPACE}"}}), 0.04)'
CPU_CORES = "sum by (pod) (rate(process_cpu_seconds_total[1m]))"

_SERVICE = "metrics"
_WINDOW = "1m0s"


@contextmanager
def answering(cluster: Cluster, prometheus: Prometheus, authority: Authority) -> Iterator[None]:
    """Serve both APIs to the API server while the context lasts."""
    certificate, key = authority.issue("metrics", "/CN=metrics", f"IP:{GATEWAY}")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = _answer(urlsplit(unquote(self.path)).path, prometheus)
            body = json.dumps(answer or {}).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((GATEWAY, PORT), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        cluster.apply(_registration())
        yield
    finally:
        # One that nobody answers for would keep the server from deleting namespaces.
        cluster.kubectl("delete", "apiservice", *(f"v1beta1.{group}" for group in (CUSTOM, RESOURCE)))
        server.shutdown()
        thread.join()


def _answer(path: str, prometheus: Prometheus) -> dict[str, Any] | None:
    """The answer to a GET, or None if there is no such path."""
    match path.strip("/").split("/"):
        case ["apis", group, version]:
            kind, name = ("MetricValueList", f"pods/{METRIC}") if group == CUSTOM else ("PodMetrics", "pods")
            resource = {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}",
                "resources": [resource],
            }
        case ["apis", group, version, "namespaces", namespace, "pods", "*", _] if group == CUSTOM:
            found = prometheus.by_pod(WAIT_SECONDS)
            values = [
                {
                    "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
                    "metricName": METRIC,
                    "timestamp": _now(),
                    "value": f"{round(value * 1e6)}u",
                }
                for pod, value in found.items()
            ]
            return {"kind": "MetricValueList", "apiVersion": f"{group}/{version}", "metadata": {}, "items": values}
        case ["apis", group, version, "namespaces", namespace, "pods"] if group == RESOURCE:
            found = prometheus.by_pod(CPU_CORES)
            metrics = [
                {
                    "metadata": {"name": pod, "namespace": namespace},
                    "timestamp": _now(),
                    "window": _WINDOW,
                    "containers": [{"name": "service", "usage": {"cpu": f"{round(value * 1e6)}u", "memory": "0"}}],
                }
                for pod, value in found.items()
            ]
            return {"kind": "PodMetricsList", "apiVersion": f"{group}/{version}", "metadata": {}, "items": metrics}
        case _:
            return None


def _registration() -> list[Manifest]:
    service = {"name": _SERVICE, "namespace": NAMESPACE}
    ports = [{"port": 443, "targetPort": PORT}]
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": service, "spec": {"ports": ports}},
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": service,
            "subsets": [{"addresses": [{"ip": GATEWAY}], "ports": [{"port": PORT}]}],
        },
        *(
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"v1beta1.{group}"},
                "spec": {
                    "group": group,
                    "version": "v1beta1",
                    "service": service,
                    "insecureSkipTLSVerify": True,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                },
            }
            for group in (CUSTOM, RESOURCE)
        ),
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
