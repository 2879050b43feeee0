"""How long a pod takes to be ready, and what memory the hardest work the service admits takes of its limit."""

import asyncio
import json
import re
from collections import Counter
from datetime import datetime
from itertools import islice
from time import monotonic

from models.manifest import Manifest as ModelManifest
from models.repository import Repository
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.cluster.cluster import Cluster, Manifest
from tests.cluster.images import SERVICE, TRAINING
from tests.cluster.manifests import OVERLAYS, built
from tests.cluster.prove_serving import NUM_REPLICAS, deploy
from tests.proofs.connection import Connection, LostError
from tests.proofs.verdict import must_be_below, must_be_none

HARD_SECONDS = 40
NUM_CONNECTIONS = 24
SEQUENCES_A_BODY = 1_000
# What a limit needs above the worst that was seen.
LARGEST_SHARE = 0.8

_PEAK = """
import pathlib
for path in ("memory/memory.max_usage_in_bytes", "memory.peak"):
    found = pathlib.Path("/sys/fs/cgroup", path)
    if found.exists():
        print(found.read_text())
"""
_MEBI = 2**20


def prove(cluster: Cluster) -> list[Row]:
    """Start the pods, read what they took, and send the longest bodies from many connections."""
    deploy(cluster, built(OVERLAYS / "cpu", cluster.minor_version))
    before = cluster.pods()
    limit = before[0]["spec"]["containers"][0]["resources"]["limits"]
    calm = [_peak_bytes(cluster, pod) for pod in before]
    repository = Repository(ROOT / "models" / "artifacts")
    statuses = asyncio.run(_work_hard(cluster.service_url(), repository.open(repository.names()[0]).manifest))
    hard = [_peak_bytes(cluster, pod) for pod in before]
    resident = [_resident_bytes(cluster, pod) for pod in before]
    restarts = sum(pod["status"]["containerStatuses"][0]["restartCount"] for pod in cluster.pods())
    limit_bytes = int(limit["memory"].removesuffix("Mi")) * _MEBI
    kept = {200, 408, 413, 503, 504}
    return [
        *_image_sizes(cluster),
        Row(
            "longest time from a container's start to ready, s",
            f"{NUM_REPLICAS} pods, limits {limit}",
            max(map(_start_seconds, before)),
            None,
            is_least=False,
        ),
        Row("peak memory of a pod once ready, MiB", f"of {limit['memory']}", max(calm) / _MEBI, None, is_least=False),
        must_be_below(
            "share of the memory limit at the peak, under the longest bodies",
            max(hard) / limit_bytes,
            LARGEST_SHARE,
            measured=f"{max(hard) / _MEBI:.0f} MiB of {limit['memory']}; answers {dict(statuses)}",
        ),
        Row(
            "resident memory of the process afterwards, as the alert sees it, MiB",
            "with the pages of libraries that others on the node use as well",
            max(resident) / _MEBI,
            None,
            is_least=False,
        ),
        must_be_none("restarts", restarts, among=NUM_REPLICAS),
        must_be_none(
            "other answers", sum(statuses[one] for one in statuses if one not in kept), among=statuses.total()
        ),
    ]


def _image_sizes(cluster: Cluster) -> list[Row]:
    """What a node stores of each of our images."""
    stored = [image for node in cluster.get("nodes")["items"] for image in node["status"]["images"]]
    sizes = {name: image["sizeBytes"] for image in stored for name in image["names"]}
    return [
        Row(f"image {name} on a node, GB", f"{sizes[full]:,} bytes", sizes[full] / 1e9, None, is_least=False)
        for name in (SERVICE, TRAINING)
        if (full := f"docker.io/{name}") in sizes
    ]


async def _work_hard(url: str, manifest: ModelManifest) -> Counter[int]:
    """Send bodies of the most sequences, each as long as the model takes; 0 counts requests without an answer."""
    drawn = traffic.sequences(manifest, seed=1, length=manifest.max_events)
    body = json.dumps({"sequences": list(islice(drawn, SEQUENCES_A_BODY))}).encode()
    until, statuses = monotonic() + HARD_SECONDS, Counter[int]()

    async def work() -> None:
        connection = await Connection.to(url)
        while monotonic() < until:
            try:
                if not connection.is_open:
                    connection = await Connection.to(url)
                statuses[(await connection.post("/v1/score", body)).status] += 1
            except (LostError, OSError, TimeoutError):
                statuses[0] += 1

    await asyncio.gather(*(work() for _ in range(NUM_CONNECTIONS)))
    return statuses


def _start_seconds(pod: Manifest) -> float:
    begun = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    ready = next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")["lastTransitionTime"]
    return (datetime.fromisoformat(ready) - datetime.fromisoformat(begun)).total_seconds()


def _resident_bytes(cluster: Cluster, pod: Manifest) -> float:
    return float(re.findall(r"^process_resident_memory_bytes (\S+)$", cluster.metrics(pod), re.MULTILINE)[0])


def _peak_bytes(cluster: Cluster, pod: Manifest) -> int:
    return int(cluster.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", _PEAK))
