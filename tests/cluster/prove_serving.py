"""The overlay `cpu` as it is shipped is accepted, becomes ready, and scores through its Service."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

import httpx
import yaml

from models.repository import Repository
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.cluster.cluster import NAMESPACE, Cluster, KubectlError, Manifest
from tests.cluster.manifests import OVERLAYS, built
from tests.proofs.verdict import must_be_below, must_be_none

NUM_REPLICAS = 2
TOLERANCE = 1e-6

_POLICY = Path(__file__).with_name("restricted.yaml")
# Pod Security admission is there, and on, from 1.23.
_FIRST_WITH_POD_SECURITY = 23
_MINUTES = 10.0
_LAST = {"Deployment", "HorizontalPodAutoscaler"}


def prove(cluster: Cluster) -> list[Row]:
    """Apply the overlay, wait, and score every golden example."""
    begun_at = monotonic()
    deploy(cluster, built(OVERLAYS / "cpu", cluster.minor_version))
    ready_seconds = monotonic() - begun_at
    repository = Repository(ROOT / "models" / "artifacts")
    examples = repository.open(repository.names()[0]).manifest.golden_examples
    sequences = [{"event_types": one.event_types, "elapsed_minutes": one.elapsed_minutes} for one in examples]
    answer = httpx.post(f"{cluster.service_url()}/v1/score", content=json.dumps({"sequences": sequences}), timeout=30)
    scores = answer.json().get("scores", [])
    differences = [abs(score["risk"] - example.risk) for score, example in zip(scores, examples, strict=True)]
    return [
        must_be_below(
            "minutes from apply to ready",
            ready_seconds / 60,
            _MINUTES,
            measured=f"{NUM_REPLICAS} pods, {ready_seconds:.0f} s, Kubernetes 1.{cluster.minor_version}",
        ),
        must_be_none("harmful pods admitted", _admitted(cluster, _HARMFUL), among=len(_HARMFUL)),
        must_be_none("harmless pods refused", 1 - _admitted(cluster, _HARMLESS), among=1),
        must_be_below(
            "largest difference to a golden risk through the Service, in millionths",
            max(differences) * 1e6,
            TOLERANCE * 1e6,
            measured=f"{len(differences)} examples",
        ),
    ]


def deploy(cluster: Cluster, manifests: Sequence[Manifest], before_pods: Callable[[], None] = lambda: None) -> None:
    """Apply to an empty namespace, the pods last, and wait until they are ready."""
    if cluster.minor_version < _FIRST_WITH_POD_SECURITY:
        cluster.apply(list(yaml.safe_load_all(_POLICY.read_text())))
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    cluster.apply([manifest for manifest in manifests if manifest["kind"] == "Namespace"])
    cluster.apply([manifest for manifest in manifests if manifest["kind"] not in _LAST])
    before_pods()
    cluster.apply([manifest for manifest in manifests if manifest["kind"] in _LAST])
    cluster.wait_until_ready(NUM_REPLICAS)


def _admitted(cluster: Cluster, pods: Sequence[Manifest]) -> int:
    """How many of these pods the server would take (only asked, never made)."""
    num_admitted = 0
    for specification in pods:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asked-for"}, "spec": specification}
        try:
            cluster.kubectl("create", "--dry-run=server", "--filename=-", standard_input=json.dumps(pod))
            num_admitted += 1
        except KubectlError as error:
            print(str(error)[:300])
    return num_admitted


def _pod(*, container: Manifest | None = None, **specification: object) -> Manifest:
    """A pod that keeps every rule but for what is given."""
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "runAsUser": 10001,
        **(container or {}),
    }
    return {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": False,
        "containers": [{"name": "only", "image": "never/pulled", "securityContext": security}],
        **specification,
    }


_HARMLESS = (_pod(),)
_HARMFUL = (
    _pod(container={"privileged": True, "allowPrivilegeEscalation": True}),
    _pod(container={"allowPrivilegeEscalation": True}),
    _pod(container={"runAsUser": 0}),
    _pod(hostNetwork=True),
    _pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
    _pod(securityContext={"seccompProfile": {"type": "Unconfined"}}),
)
