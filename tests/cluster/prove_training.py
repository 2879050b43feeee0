"""A training Job publishes a version, and running pods answer with it: no restart, no request lost."""

from time import monotonic, sleep

from models.repository import Repository
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.cluster.cluster import Cluster, KubectlError, Manifest
from tests.cluster.load import Load, milliseconds
from tests.cluster.manifests import OVERLAYS, built
from tests.cluster.prove_serving import NUM_REPLICAS, deploy
from tests.proofs.verdict import must_be_below, must_be_none

PER_SECOND = 10.0
JOB_SECONDS = 600
# The service looks every ten seconds; then it loads, compiles and verifies beside the traffic, on a busy machine.
PICKED_UP_SECONDS = 120

_POLL_SECONDS = 0.5
_FIRST_JOB = "job/seqrisk-training-first"
_SECOND_JOB = "seqrisk-training-second"


def prove(cluster: Cluster) -> list[Row]:
    """Let the shipped Job publish version 1, serve it, and let the CronJob's template publish version 2 beside."""
    manifests = built(OVERLAYS / "training", cluster.minor_version)
    deploy(cluster, manifests, before_pods=lambda: _wait_for_job(cluster, _FIRST_JOB))
    before = cluster.identities()
    repository = Repository(ROOT / "models" / "artifacts")
    manifest = repository.open(repository.names()[0]).manifest
    with Load(cluster.service_url(), manifest, PER_SECOND) as load:
        begun_at = monotonic()
        cluster.apply([_second_job(manifests)])
        _wait_for_job(cluster, f"job/{_SECOND_JOB}")
        published_at = monotonic()
        _wait_for_version(cluster, 2)
        picked_up_seconds = monotonic() - published_at
        sleep(2)
        settled_at = monotonic()
        load.wait_for_answers(settled_at)
        asked = load.between(begun_at, settled_at)
    lost = [one for one in asked if one.is_lost]
    for one in lost[:5]:
        print(f"lost: {one}")
    answered = {version: sum(one.version == version for one in asked) for version in (1, 2)}
    return [
        must_be_below(
            "seconds from the end of the Job until every pod answers with its version",
            picked_up_seconds,
            PICKED_UP_SECONDS,
            measured=f"Job {published_at - begun_at:.0f} s; answers by version {answered}",
        ),
        must_be_none("pods restarted or replaced for it", len(before ^ cluster.identities()), among=NUM_REPLICAS),
        must_be_none("requests lost", len(lost), among=len(asked)),
        Row("p50, p99, longest while it trained and swapped, ms", milliseconds(asked), 0, None, is_least=False),
    ]


def _second_job(manifests: list[Manifest]) -> Manifest:
    """What `kubectl create job --from=cronjob/seqrisk-training` makes."""
    schedule = next(manifest for manifest in manifests if manifest["kind"] == "CronJob")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _SECOND_JOB, "namespace": schedule["metadata"]["namespace"]},
        "spec": schedule["spec"]["jobTemplate"]["spec"],
    }


def _wait_for_job(cluster: Cluster, job: str) -> None:
    until = monotonic() + JOB_SECONDS
    while True:
        status = cluster.get(job)["status"]
        if status.get("succeeded"):
            return
        if status.get("failed") or monotonic() > until:
            raise KubectlError(f"Expected {job} to succeed. Received: {status}\n{cluster.kubectl('logs', job)}")
        sleep(_POLL_SECONDS)


def _wait_for_version(cluster: Cluster, version: int) -> None:
    """Wait until each pod, asked by its own address, answers with `version`."""
    until = monotonic() + PICKED_UP_SECONDS
    for pod in cluster.pods():
        while f'version="{version}"}} 1.0' not in cluster.metrics(pod):
            if monotonic() > until:
                return
            sleep(_POLL_SECONDS)
