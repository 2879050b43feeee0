"""A cluster as its operator meets it: through kubectl."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import yaml

NAMESPACE = "seqrisk"
DEPLOYMENT = "deployment/seqrisk"
SERVICE_PODS = "app.kubernetes.io/name=seqrisk,app.kubernetes.io/component=service"
# Machines that run this are small, and several pods may compile at once.
READY_SECONDS = 300

_POLL_SECONDS = 0.5

Manifest = dict[str, Any]


class KubectlError(RuntimeError):
    """The cluster refused, or what was waited for did not come."""


class Cluster:
    """One cluster, and in it the namespace that the manifests name.

    Args:
        kubeconfig: Of its administrator.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.minor_version = int(json.loads(self.kubectl("get", "--raw", "/version"))["minor"].rstrip("+"))

    def kubectl(self, *arguments: str, standard_input: str | None = None, may_fail: bool = False) -> str:
        """What kubectl says.

        Raises:
            KubectlError: It failed.
        """
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--namespace={NAMESPACE}", *arguments]
        ended = subprocess.run(command, input=standard_input, check=False, capture_output=True, text=True)
        if ended.returncode and not may_fail:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {ended.stderr.strip()}")
        return ended.stdout

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Apply manifests as an operator does."""
        self.kubectl("apply", "--filename=-", standard_input=yaml.safe_dump_all(manifests))

    def get(self, *arguments: str) -> Manifest:
        """One object, or a list of them."""
        found: Manifest = json.loads(self.kubectl("get", "--output=json", *arguments))
        return found

    def pods(self, selector: str = SERVICE_PODS) -> list[Manifest]:
        """The pods with these labels that are not being deleted."""
        found = self.get("pods", f"--selector={selector}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def identities(self) -> set[tuple[str, int]]:
        """Every service pod's identity, and how often its container was restarted."""
        return {(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in self.pods()}

    def metrics(self, pod: Manifest) -> str:
        """What a pod, asked by itself, says of its metrics."""
        return self.kubectl(
            "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        )

    def scale(self, replicas: int) -> None:
        """Ask for another number of replicas, and do not wait."""
        self.kubectl("scale", DEPLOYMENT, f"--replicas={replicas}")

    def wait_until_ready(self, replicas: int) -> float:
        """Wait until this many pods, and no others, are there and ready; how long that took, in seconds.

        Raises:
            KubectlError: They are not.
        """
        begun_at = monotonic()
        while True:
            pods = self.get("pods", f"--selector={SERVICE_PODS}")["items"]
            if len(pods) == replicas and all(is_ready(pod) for pod in pods):
                return monotonic() - begun_at
            if monotonic() - begun_at > READY_SECONDS:
                states = {pod["metadata"]["name"]: pod["status"].get("containerStatuses") for pod in pods}
                raise KubectlError(f"Expected {replicas} ready pods within {READY_SECONDS} s. Received: {states}")
            sleep(_POLL_SECONDS)

    def service_url(self) -> str:
        """The Service from outside: a node's address, and the port that every node's proxy listens on."""
        node = self.get("nodes")["items"][0]
        address = next(one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP")
        port = self.get("service/seqrisk")["spec"]["ports"][0]["nodePort"]
        return f"http://{address}:{port}"


def is_ready(pod: Manifest) -> bool:
    """Whether the pod may be sent requests."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
