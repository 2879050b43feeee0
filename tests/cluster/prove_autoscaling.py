"""The shipped HorizontalPodAutoscaler under rising and falling load, fed by a Prometheus that scrapes the pods."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import monotonic, sleep

from models.repository import Repository
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.cluster.certificates import Authority
from tests.cluster.cluster import Cluster, is_ready
from tests.cluster.load import Load
from tests.cluster.manifests import OVERLAYS, built
from tests.cluster.metrics_api import CPU_CORES, WAIT_SECONDS, answering
from tests.cluster.prometheus import Prometheus, scraping
from tests.cluster.prove_serving import NUM_REPLICAS, deploy
from tests.cluster.timeline import Sample, draw
from tests.proofs.verdict import must_be_below, must_be_none

TARGET_SECONDS = 0.020
LOW_PER_SECOND = 10.0
SEQUENCES_A_BODY = 200
# Fast while two pods have much to spare, then slowly: they are not to be overloaded before help has started.
RISE, SLOW_RISE = 1.4, 1.06
SPARE_SHARE = 0.45
# What the overlay allows one pod.
POD_CORES = 0.3

TIMELINE = Path(__file__).parent / "results" / "autoscaling-timeline.json"

_SAMPLE_SECONDS = 5
_SAMPLES_A_STEP = 3
# As long as the metric's window, so that no sample of it is from before.
_SAMPLES_OF_CALM = 12
_QUIET_SECONDS = 30
_RISE_SECONDS = 400
_RELIEF_SECONDS = 400
_FALL_SECONDS = 300


def prove(cluster: Cluster) -> list[Row]:
    """Let load rise until requests wait too long, hold it until they do not, and let it fall."""
    deploy(cluster, built(OVERLAYS / "autoscaling", cluster.minor_version))
    repository = Repository(ROOT / "models" / "artifacts")
    manifest = repository.open(repository.names()[0]).manifest
    with (
        tempfile.TemporaryDirectory() as place,
        scraping(cluster, Path(place)) as prometheus,
        answering(cluster, prometheus, Authority(Path(place))),
        Load(
            cluster.service_url(), manifest, LOW_PER_SECOND, sequences_a_body=SEQUENCES_A_BODY, honours_retry_after=True
        ) as load,
    ):
        timeline = Timeline(cluster, prometheus, load)
        timeline.follow(lambda _: False, _QUIET_SECONDS)
        timeline.follow(_rise(load), _RISE_SECONDS)
        timeline.follow(_is_relieved, _RELIEF_SECONDS)
        load.per_second = LOW_PER_SECOND
        timeline.follow(lambda samples: samples[-1].ready == NUM_REPLICAS, _FALL_SECONDS)
        settled_at = monotonic()
        load.wait_for_answers(settled_at)
        asked = load.between(0.0, settled_at)
    timeline.keep()
    samples = timeline.samples
    lost = [one for one in asked if one.is_lost]
    for one in lost[:5]:
        print(f"lost: {one}")
    worst = max(samples, key=lambda sample: sample.wait_seconds)
    relieved = [sample for sample in samples if sample.seconds > worst.seconds and sample.per_second > LOW_PER_SECOND][
        -1
    ]
    most = max(sample.ready for sample in samples)
    return [
        Row(
            "longest mean wait under rising load, ms",
            f"at {worst.per_second:.0f} requests/s, {worst.ready} pods",
            1e3 * worst.wait_seconds,
            1e3 * TARGET_SECONDS,
            is_least=True,
        ),
        must_be_below(
            "mean wait after scaling, load as high, ms",
            1e3 * relieved.wait_seconds,
            1e3 * TARGET_SECONDS,
            measured=f"at {relieved.per_second:.0f} requests/s, {relieved.ready} pods",
        ),
        Row("most pods ready", f"from {NUM_REPLICAS}", most, NUM_REPLICAS + 1, is_least=True),
        must_be_below("pods in the end", samples[-1].ready, NUM_REPLICAS, measured=f"{samples[-1].per_second:.0f}/s"),
        must_be_none("requests lost", len(lost), among=len(asked)),
        Row("refused at once and answered later", f"of {len(asked):,}", load.num_refused, None, is_least=False),
    ]


def _rise(load: Load) -> "Until":
    """A step up every few samples, until requests wait longer than the target."""

    def is_over(samples: list[Sample]) -> bool:
        if samples[-1].wait_seconds > TARGET_SECONDS:
            return True
        if len(samples) % _SAMPLES_A_STEP == 0:
            is_spare = samples[-1].cpu_cores < SPARE_SHARE * POD_CORES * samples[-1].ready
            load.per_second *= RISE if is_spare else SLOW_RISE
        return False

    return is_over


def _is_relieved(samples: list[Sample]) -> bool:
    latest = samples[-_SAMPLES_OF_CALM:]
    return len(samples) >= _SAMPLES_OF_CALM and all(sample.wait_seconds < TARGET_SECONDS for sample in latest)


class Timeline:
    """What the autoscaler saw and did, sampled."""

    def __init__(self, cluster: Cluster, prometheus: Prometheus, load: Load) -> None:
        self._cluster, self._prometheus, self._load = cluster, prometheus, load
        self._begun_at = monotonic()
        self.samples = list[Sample]()

    def follow(self, is_over: "Until", seconds: float) -> None:
        """Sample until `is_over` says so of this stretch's samples, but no longer than `seconds`."""
        first, until = len(self.samples), monotonic() + seconds
        while monotonic() < until:
            sleep(_SAMPLE_SECONDS)
            self.samples.append(self._sample())
            print(self.samples[-1], flush=True)
            if is_over(self.samples[first:]):
                return

    def keep(self) -> None:
        """Write the samples to a file, and draw them beside it."""
        TIMELINE.parent.mkdir(exist_ok=True)
        TIMELINE.write_text(json.dumps([asdict(sample) for sample in self.samples], indent=1) + "\n")
        draw(TIMELINE.with_suffix(".svg"), self.samples, TARGET_SECONDS)

    def _sample(self) -> Sample:
        waits = self._prometheus.by_pod(WAIT_SECONDS)
        status = self._cluster.get("horizontalpodautoscaler/seqrisk")["status"]
        return Sample(
            seconds=round(monotonic() - self._begun_at, 1),
            per_second=round(self._load.per_second, 1),
            wait_seconds=round(sum(waits.values()) / max(len(waits), 1), 4),
            cpu_cores=round(sum(self._prometheus.by_pod(CPU_CORES).values()), 2),
            desired=status.get("desiredReplicas", 0),
            ready=sum(is_ready(pod) for pod in self._cluster.pods()),
        )


Until = Callable[[list[Sample]], bool]
