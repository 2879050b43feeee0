"""Keys from a Secret: who is refused, with what; and one that is revoked while pods run, beside one that stays."""

import json
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic, perf_counter, sleep

import httpx
import numpy as np

from models.repository import Repository
from service.keys import line_of, new_key
from tests.benchmarks import traffic
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.cluster.cluster import Cluster, KubectlError
from tests.cluster.manifests import OVERLAYS, built
from tests.cluster.prove_serving import NUM_REPLICAS, deploy
from tests.proofs.verdict import must_be_below, must_be_none

# A kubelet looks at its Secrets about once a minute; the service at its file twice a second.
TAKEN_SECONDS = 150
NUM_ASKED_AFTER = 200
NUM_TIMED = 1_500
# One step of a comparison is nanoseconds, which no network shows: tests/service/test_keys.py counts the steps.
TIMING_MICROSECONDS = 50

_POLL_SECONDS = 0.5
_PAUSE_SECONDS = 0.05
_SECRET = "seqrisk-api-keys"
_TAKEN = 'seqrisk_key_file_changes_total{result="taken"} 1.0'


@dataclass(frozen=True, slots=True)
class Keys:
    """One key for each part in this.

    Attributes:
        stays: May score, before and after.
        leaves: May score until it is revoked.
        comes: May score from then on.
        watches: May read metrics and nothing else.
    """

    stays: str
    leaves: str
    comes: str
    watches: str

    def before(self) -> str:
        """The file to begin with."""
        watches = line_of("watches", self.watches).replace(" }", ', may = ["metrics"] }')
        return "\n".join((line_of("stays", self.stays), line_of("leaves", self.leaves), watches))

    def after(self) -> str:
        """The file that takes its place."""
        return self.before().replace(line_of("leaves", self.leaves), line_of("comes", self.comes))


def prove(cluster: Cluster) -> list[Row]:
    """Ask with every kind of key, exchange the Secret under load, and ask again."""
    keys = Keys(*(new_key() for _ in range(4)))
    manifests = built(OVERLAYS / "keys", cluster.minor_version)
    deploy(cluster, manifests, before_pods=lambda: _hand_out(cluster, keys.before()))
    url, body, before = f"{cluster.service_url()}/v1/score", _body(), cluster.identities()
    seen = list[httpx.Response]()
    rows = [_answered_as_expected(url, body, keys, seen), _timing(url, body, keys)]
    with _asking(url, body, keys.stays) as staying:
        begun_at = monotonic()
        _hand_out(cluster, keys.after())
        _wait_until_taken(cluster)
        taken_seconds = monotonic() - begun_at
        revoked, new = (_statuses(url, body, key, seen) for key in (keys.leaves, keys.comes))
    told = "".join(f"{answer.headers}{answer.text}" for answer in seen)
    told += "".join(cluster.kubectl("logs", pod["metadata"]["name"]) for pod in cluster.pods())
    return [
        *rows,
        must_be_below(
            "seconds until every pod has the renewed Secret",
            taken_seconds,
            TAKEN_SECONDS,
            measured=f"{NUM_REPLICAS} pods",
        ),
        must_be_none("revoked key: not 401", revoked.total() - revoked[401], among=revoked.total()),
        must_be_none("new key: not 200", new.total() - new[200], among=new.total()),
        must_be_none("key that stays: not 200", staying.total() - staying[200], among=staying.total()),
        must_be_none("pods restarted or replaced for it", len(before ^ cluster.identities()), among=NUM_REPLICAS),
        must_be_none(
            "keys in logs and answers",
            sum(key in told for key in (keys.stays, keys.leaves, keys.comes, keys.watches)),
            among=4,
        ),
    ]


def _answered_as_expected(url: str, body: bytes, keys: Keys, seen: list[httpx.Response]) -> Row:
    """Every kind of key and of none, and the answer it must have."""
    metrics = url.replace("/v1/score", "/metrics")
    wanted: Sequence[tuple[str, str, Mapping[str, str], tuple[int, str]]] = [
        ("POST", url, {}, (401, "missing_key")),
        ("POST", url, _bearer("hunter2"), (401, "wrong_key")),
        ("POST", url, _bearer(new_key()), (401, "wrong_key")),
        ("POST", url, _bearer(keys.comes), (401, "wrong_key")),
        ("POST", url, _bearer(keys.watches), (403, "forbidden")),
        ("POST", url, _bearer(keys.stays), (200, "")),
        ("POST", url, {"x-api-key": keys.leaves}, (200, "")),
        ("GET", url.replace("/v1/score", "/v1/no-such-path"), {}, (401, "missing_key")),
        ("GET", metrics, {}, (200, "")),
    ]
    num_others = 0
    for method, path, headers, expected in wanted:
        answer = httpx.request(method, path, headers=headers, content=body if method == "POST" else None, timeout=30)
        seen.append(answer)
        code = answer.json()["code"] if answer.is_error else ""
        if (answer.status_code, code) != expected:
            print(f"expected {expected}, received {answer.status_code} {code} for {method} {path}")
            num_others += 1
    return must_be_none("keys missing, wrong, for something else: other answers", num_others, among=len(wanted))


def _timing(url: str, body: bytes, keys: Keys) -> Row:
    """Refusals of keys that share all, nothing or all but one character with a right one take as long."""
    right = keys.stays
    other = "A" if right[-1] != "A" else "B"
    kinds = {
        "another last character": right[:-1] + other,
        "another first character": right[:8] + other + right[9:],
        "nothing in common": new_key(),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with httpx.Client(timeout=30) as client:
        for _ in range(NUM_TIMED):
            for kind, key in kinds.items():
                begun_at = perf_counter()
                client.post(url, content=body, headers=_bearer(key))
                seconds[kind].append(perf_counter() - begun_at)
    medians = {kind: 1e6 * float(np.median(found)) for kind, found in seconds.items()}
    return must_be_below(
        "timing: largest difference between median refusals, µs",
        max(medians.values()) - min(medians.values()),
        TIMING_MICROSECONDS,
        measured=", ".join(f"{kind} {value:.0f}" for kind, value in medians.items()),
    )


@contextmanager
def _asking(url: str, body: bytes, key: str) -> Iterator[Counter[int]]:
    """Ask with a key without end, each time on a connection of its own; 0 counts what was not answered."""
    statuses, is_over = Counter[int](), threading.Event()

    def ask() -> None:
        while not is_over.wait(_PAUSE_SECONDS):
            statuses.update(_statuses(url, body, key, [], times=1))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        is_over.set()
        thread.join()


def _statuses(
    url: str, body: bytes, key: str, seen: list[httpx.Response], times: int = NUM_ASKED_AFTER
) -> Counter[int]:
    """Ask so many times, each on a connection of its own, so that every pod is asked."""
    statuses = Counter[int]()
    for _ in range(times):
        try:
            answer = httpx.post(url, content=body, headers=_bearer(key), timeout=30)
        except httpx.TransportError as error:
            print(f"lost: {error!r}")
            statuses[0] += 1
        else:
            seen.append(answer)
            statuses[answer.status_code] += 1
    return statuses


def _hand_out(cluster: Cluster, content: str) -> None:
    """Make or renew the Secret, by the commands of deploy/README.md."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "keys.toml"
        path.write_text(content)
        create = ("create", "secret", "generic", _SECRET, f"--from-file={path}", "--dry-run=client", "--output=yaml")
        cluster.kubectl("apply", "--filename=-", standard_input=cluster.kubectl(*create))


def _wait_until_taken(cluster: Cluster) -> None:
    until = monotonic() + TAKEN_SECONDS
    for pod in cluster.pods():
        while _TAKEN not in cluster.metrics(pod):
            if monotonic() > until:
                raise KubectlError(f"Expected the renewed keys in every pod within {TAKEN_SECONDS} s. Received: none.")
            sleep(_POLL_SECONDS)


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _body() -> bytes:
    repository = Repository(ROOT / "models" / "artifacts")
    drawn = traffic.sequences(repository.open(repository.names()[0]).manifest, seed=1)
    return json.dumps({"sequences": list(islice(drawn, 1))}).encode()
