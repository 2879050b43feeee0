"""Under constant load through the Service: a rolling update, more and fewer replicas, a drained node, killed pods."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep

from models.repository import Repository
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.cluster.cluster import DEPLOYMENT, Cluster, is_ready
from tests.cluster.load import Asked, Load, milliseconds
from tests.cluster.manifests import OVERLAYS, built
from tests.cluster.prove_serving import NUM_REPLICAS, deploy
from tests.proofs.verdict import must_be_none

PER_SECOND = 25.0
MORE_REPLICAS = 4

# Longer than a pod's grace, so that what ends late is still seen.
_SETTLE_SECONDS = 15
_DRAIN_SECONDS = 300
# Larger than the service has to be left alone, so that the kernel chooses the service.
_NUM_HOGS, _HOG_BYTES = 60, 60_000_000
_HOGS = f"""
import os, time
for _ in range({_NUM_HOGS}):
    if os.fork() == 0:
        held = b"x" * {_HOG_BYTES}
        time.sleep(60)
time.sleep(60)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients saw of one disruption.

    Attributes:
        asked: Requests from its begin until things had settled.
        num_reconnects: Connections that had to be tried again; nothing had been sent on them.
        seconds: It took.
    """

    asked: list[Asked]
    num_reconnects: int
    seconds: float

    @property
    def lost(self) -> list[Asked]:
        """Requests that were not answered with scores."""
        return [one for one in self.asked if one.is_lost]


def prove(cluster: Cluster) -> list[Row]:
    """Disturb the service in every way an operator or a node may."""
    deploy(cluster, built(OVERLAYS / "cpu", cluster.minor_version))
    repository = Repository(ROOT / "models" / "artifacts")
    manifest = repository.open(repository.names()[0]).manifest
    rows = list[Row]()
    with Load(cluster.service_url(), manifest, PER_SECOND) as load:
        for what, disturb in _PLANNED.items():
            seen = _watch(load, cluster, disturb)
            rows.append(_none_lost(what, seen))
        for what, kill in _UNPLANNED.items():
            rows.append(_only_those_in_flight(what, _watch(load, cluster, kill)))
    return rows


def _watch(load: Load, cluster: Cluster, disturb: Callable[[Cluster], None]) -> Seen:
    begun_at, num_reconnects = monotonic(), load.num_reconnects
    disturb(cluster)
    ended_at = monotonic()
    sleep(_SETTLE_SECONDS)
    settled_at = monotonic()
    load.wait_for_answers(settled_at)
    return Seen(load.between(begun_at, settled_at), load.num_reconnects - num_reconnects, ended_at - begun_at)


def _none_lost(what: str, seen: Seen) -> Row:
    """Not even a connection may be refused: the service answers until the proxies have moved on."""
    num_failed = len(seen.lost) + seen.num_reconnects
    return _with_figures(must_be_none(f"{what}: requests lost", num_failed, among=len(seen.asked)), seen)


def _only_those_in_flight(what: str, seen: Seen) -> Row:
    """Whatever was sent after the first loss was seen must be answered: the pod was gone by then."""
    gone_at = min((one.answered_at for one in seen.lost), default=0.0)
    late = [one for one in seen.lost if one.sent_at > gone_at]
    row = must_be_none(f"{what}: requests lost that were not in flight then", len(late), among=len(seen.asked))
    return _with_figures(row, seen, f"in flight and lost {len(seen.lost) - len(late)}, ")


def _with_figures(row: Row, seen: Seen, more: str = "") -> Row:
    for one in seen.lost[:5]:
        print(f"lost: {one}")
    figures = f"{milliseconds(seen.asked)} ms, {more}connected again {seen.num_reconnects}, took {seen.seconds:.0f} s"
    return Row(row.what, f"{row.measured}; {figures}", row.ratio, row.target, row.is_least)


def _rolling_update(cluster: Cluster) -> None:
    cluster.kubectl("rollout", "restart", DEPLOYMENT)
    cluster.kubectl("rollout", "status", DEPLOYMENT, "--timeout=400s")
    cluster.wait_until_ready(NUM_REPLICAS)


def _more(cluster: Cluster) -> None:
    cluster.scale(MORE_REPLICAS)
    cluster.wait_until_ready(MORE_REPLICAS)


def _fewer(cluster: Cluster) -> None:
    cluster.scale(NUM_REPLICAS)
    cluster.wait_until_ready(NUM_REPLICAS)


def _drained_node(cluster: Cluster) -> None:
    """Every pod of one node has to find another one, as the disruption budget allows."""
    node = max(pod["spec"]["nodeName"] for pod in cluster.pods())
    try:
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={_DRAIN_SECONDS}s")
        cluster.wait_until_ready(NUM_REPLICAS)
    finally:
        cluster.kubectl("uncordon", node)


def _killed_pod(cluster: Cluster) -> None:
    name = cluster.pods()[0]["metadata"]["name"]
    cluster.kubectl("delete", "pod", name, "--grace-period=0", "--force")
    cluster.wait_until_ready(NUM_REPLICAS)


def _out_of_memory(cluster: Cluster) -> None:
    """More processes in the pod than its memory holds, each smaller than the service."""
    name = next(pod for pod in cluster.pods() if is_ready(pod))["metadata"]["name"]
    cluster.kubectl("exec", name, "--", "python", "-c", _HOGS, may_fail=True)
    until = monotonic() + _DRAIN_SECONDS
    while cluster.get("pod", name)["status"]["containerStatuses"][0]["restartCount"] == 0 and monotonic() < until:
        sleep(0.5)
    reason = cluster.get("pod", name)["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"]
    if reason != "OOMKilled":
        raise RuntimeError(f"Expected the container to be OOMKilled. Received: {reason}.")
    cluster.wait_until_ready(NUM_REPLICAS)


_PLANNED: dict[str, Callable[[Cluster], None]] = {
    "rolling update": _rolling_update,
    "scale up": _more,
    "scale down": _fewer,
    "node drain": _drained_node,
}
_UNPLANNED: dict[str, Callable[[Cluster], None]] = {
    "pod kill": _killed_pod,
    "out of memory": _out_of_memory,
}
