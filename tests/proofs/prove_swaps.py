"""Proof: versions change under load, and no request notices.

A real server follows a repository in which one version after the other appears, every tenth of them corrupt in one of
four ways. Two sets of weights take turns, so that each answer shows whose it is.

From the root of the project, while nothing else runs: python -m tests.proofs.prove_swaps [--swaps 50]
"""

import argparse
import gc
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.manifest import Draft, Manifest
from models.repository import Artifact, Repository
from models.sequences import Vocabulary, encode

ROOT = Path(__file__).parents[2]
NUM_CLIENTS = 8
REQUESTS_PER_SECOND = 100
# Few enough to leave most of two cores idle: it is swaps that are to be seen, not queues.
NUM_SEQUENCES = 2
POLL_SECONDS = 0.5
REST_SECONDS = 1.0
LARGEST_RSS_GROWTH = 0.10
RISK_TOLERANCE = 1e-6
# A client that went silent would prove nothing.
LEAST_SHARE_ANSWERED = 0.95


def main() -> None:
    """Build the versions, serve them one after the other under load, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=50, help="versions after the first; every tenth is corrupt")
    parser.add_argument("--model", default="sla-breach", help="a model in models/artifacts")
    arguments = parser.parse_args()
    original = Repository(ROOT / "models" / "artifacts").open(arguments.model)
    corrupt = set(range(10, arguments.swaps + 2, 10))
    sys.exit(0 if report(prove(original, arguments.swaps, corrupt)) else 1)


def prove(original: Artifact, num_swaps: int, corrupt: set[int]) -> "Seen":
    """Serve versions made of `original` one after the other under load; those of the numbers `corrupt` are spoilt."""
    name = original.manifest.name
    with tempfile.TemporaryDirectory() as directory:
        workshop, served = Path(directory, "workshop"), Path(directory, "served")
        expected = build_versions(original, workshop, num_versions=num_swaps + 1)
        spoil(workshop / name, corrupt)
        # The load generator must not stop for a collector that walks TensorFlow.
        gc.freeze()

        load = Load(expected, question(original.manifest))
        with Server(workshop / name, served / name, load) as server:
            server.bring(1)
            rest()
            rss_bytes = [server.rss_bytes()]
            for version in range(2, num_swaps + 2):
                server.bring(version, is_corrupt=version in corrupt)
                rest()
                rss_bytes.append(server.rss_bytes())
                print(f"version {version:3}: {server.last_seconds:5.2f} s, {rss_bytes[-1] / 1e6:6.1f} MB", flush=True)
            load.stop()
            metrics = server.get("/metrics").decode()
    return Seen(load, corrupt, rss_bytes, server.windows, metrics)


@dataclass(frozen=True)
class Seen:
    """What happened: the load, numbers of the corrupt, resident bytes after each swap, when they were, and metrics."""

    load: "Load"
    corrupt: set[int]
    rss_bytes: list[int]
    windows: list[tuple[float, float]]
    metrics: str

    @property
    def corrupt_live(self) -> list[int]:
        """Corrupt versions that answered."""
        return sorted({answer.version for answer in self.load.answers} & self.corrupt)


def report(seen: Seen) -> bool:
    """Print the figures and say whether every must is kept."""
    load, corrupt, corrupt_live, rss_bytes = seen.load, seen.corrupt, seen.corrupt_live, seen.rss_bytes
    answered = np.array([(answer.due_at, answer.seconds) for answer in load.answers])
    in_window = np.zeros(len(answered), bool)
    for begin, end in seen.windows:
        in_window |= (answered[:, 0] >= begin) & (answered[:, 0] <= end)
    growth = rss_bytes[-1] / rss_bytes[0] - 1
    swaps = re.findall(r"^seqrisk_model_(?:swaps|loads)_total.*$", seen.metrics, flags=re.MULTILINE)
    print(
        f"\nrequests answered          {len(load.answers)} of {load.num_due} due\n"
        f"requests failed            {len(load.failures)}   {load.failures[:3]}\n"
        f"corrupt versions live      {len(corrupt_live)} of {len(corrupt)}   {corrupt_live}\n"
        f"resident memory            {rss_bytes[0] / 1e6:.1f} MB, then {rss_bytes[-1] / 1e6:.1f} MB ({growth:+.1%})\n"
        f"p50, p99, max beside swaps {_quantiles(answered[~in_window, 1])} ms   ({(~in_window).sum()} requests)\n"
        f"p50, p99, max in swaps     {_quantiles(answered[in_window, 1])} ms   ({in_window.sum()} requests)\n"
        f"server's own count         {', '.join(swaps)}"
    )
    is_asked_enough = len(load.answers) >= LEAST_SHARE_ANSWERED * load.num_due
    return is_asked_enough and not load.failures and not corrupt_live and growth <= LARGEST_RSS_GROWTH


def _quantiles(seconds: np.ndarray) -> str:
    return ", ".join(f"{1e3 * value:.1f}" for value in np.quantile(seconds, (0.5, 0.99, 1.0)))


def rest() -> None:
    """Time in which nothing is swapped, to compare with."""
    time.sleep(REST_SECONDS)


@dataclass(frozen=True)
class Answer:
    """When a request was due, on the clock of `time.monotonic()`, how long after that it was answered, and by whom."""

    due_at: float
    seconds: float
    version: int


@dataclass
class Load:
    """A constant rate of requests, whatever the server does: each is timed from when it was due.

    Attributes:
        expected: Risks by version.
        body: The request.
        answers: What was answered as expected.
        failures: What was not.
        num_due: Requests that were due until it stopped.
    """

    expected: dict[int, list[float]]
    body: bytes
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    num_due: int = 0

    def start(self, port: int) -> None:
        """Begin to ask."""
        self._stopping = threading.Event()
        self._begun_at = time.monotonic()
        self._clients = [threading.Thread(target=self._ask, args=(port, number)) for number in range(NUM_CLIENTS)]
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Ask no more."""
        if not self._stopping.is_set():
            self.num_due = int((time.monotonic() - self._begun_at) * REQUESTS_PER_SECOND)
        self._stopping.set()
        for client in self._clients:
            client.join()

    def _ask(self, port: int, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        period = NUM_CLIENTS / REQUESTS_PER_SECOND
        due_at = time.monotonic() + number / REQUESTS_PER_SECOND
        while not self._stopping.wait(max(0.0, due_at - time.monotonic())):
            try:
                connection.request("POST", "/v1/score", self.body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = response.read()
                seconds = time.monotonic() - due_at
                self._check(response.status, content, due_at, seconds)
            except Exception as error:
                self.failures.append(repr(error))
                connection.close()
            due_at += period
        connection.close()

    def _check(self, status: int, content: bytes, due_at: float, seconds: float) -> None:
        if status != 200:
            self.failures.append(f"{status}: {content[:200]!r}")
            return
        answer = json.loads(content)
        risks = [score["risk"] for score in answer["scores"]]
        expected = self.expected[answer["version"]]
        if max(abs(risk - right) for risk, right in zip(risks, expected, strict=True)) > RISK_TOLERANCE:
            self.failures.append(f"version {answer['version']} answered {risks}, expected {expected}")
            return
        self.answers.append(Answer(due_at, seconds, answer["version"]))


class Server:
    """`python -m service serve` on a repository that versions are brought into.

    Args:
        workshop: Where the versions are built.
        model: Where they are served.
        load: Begins once the first version answers.
    """

    def __init__(self, workshop: Path, model: Path, load: Load) -> None:
        self._workshop, self._model, self._load = workshop, model, load
        self.windows: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._model.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._load.stop()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def last_seconds(self) -> float:
        """From the last version's appearance to its taking over, or its refusal."""
        begin, end = self.windows[-1]
        return end - begin

    def bring(self, version: int, *, is_corrupt: bool = False) -> None:
        """Publish a version, and wait until it answers, or is refused if it is corrupt."""
        begin = time.monotonic()
        (self._workshop / str(version)).rename(self._model / str(version))
        if version == 1:
            self._start()
        wanted = "refused" if is_corrupt else "champion"
        while {"version": version, "state": wanted} not in self._states():
            time.sleep(0.1)
        if version == 1:
            self._load.start(self._port)
        else:
            self.windows.append((begin, time.monotonic()))

    def get(self, path: str) -> bytes:
        """What the server answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", path)
        content = connection.getresponse().read()
        connection.close()
        return content

    def rss_bytes(self) -> int:
        """Resident memory of the server's process."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return 1024 * int(re.findall(r"^VmRSS:\s+(\d+) kB", status, flags=re.MULTILINE)[0])

    def _start(self) -> None:
        environment = {
            "SEQRISK_REPOSITORY": str(self._model.parent),
            "SEQRISK_PORT": "0",
            "SEQRISK_POLL_SECONDS": str(POLL_SECONDS),
            "SEQRISK_DEVICE": "cpu",
            "SEQRISK_LOG_LEVEL": "error",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(re.findall(r"http://127\.0\.0\.1:(\d+)", self._process.stdout.readline())[0])

    def _states(self) -> list[dict[str, Any]]:
        model = json.loads(self.get(f"/v1/models/{self._model.name}"))
        told = model.get("versions", [])
        return [{"version": version["version"], "state": version["state"]} for version in told]


def question(manifest: Manifest) -> bytes:
    """A request with the first golden examples."""
    sequences = [
        {"event_types": example.event_types, "elapsed_minutes": example.elapsed_minutes}
        for example in manifest.golden_examples[:NUM_SEQUENCES]
    ]
    return json.dumps({"sequences": sequences}).encode()


def build_versions(original: Artifact, workshop: Path, num_versions: int) -> dict[int, list[float]]:
    """Publish versions with two sets of weights in turn, and return the risks that answer the question, by version."""
    repository = Repository(workshop)
    variants = [_variant(original, workshop / f".variant-{number}", 1 + 0.05 * number) for number in range(2)]
    expected = {}
    for number in range(num_versions):
        directory, draft = variants[number % 2]
        with repository.staging(draft.name) as staged:
            shutil.copytree(directory, staged, dirs_exist_ok=True)
            manifest = repository.publish(staged, draft)
        expected[manifest.version] = [example.risk for example in draft.golden_examples[:NUM_SEQUENCES]]
    return expected


def _variant(original: Artifact, directory: Path, scale: float) -> tuple[Path, Draft]:
    """The model with every weight times `scale`, and its description with its own golden examples."""
    import tensorflow as tf  # noqa: PLC0415  seconds that `--help` need not wait for

    model = tf.saved_model.load(str(original.directory))
    signature = model.signatures["serving_default"]
    for weight in signature.variables:
        weight.assign(weight * scale)
    tf.saved_model.save(model, str(directory), signatures=signature)

    manifest = original.manifest
    golden_examples = []
    for example in manifest.golden_examples:
        batch = encode(
            [example.event_types], [example.elapsed_minutes], Vocabulary(manifest.vocabulary), manifest.max_events
        )
        answer = signature(event_ids=tf.constant(batch.event_ids), elapsed_minutes=tf.constant(batch.elapsed_minutes))
        risks = {name: float(answer[name][0]) for name in ("risk", "auxiliary_risk")}
        golden_examples.append(example.model_copy(update=risks))
    described = {name: getattr(manifest, name) for name in Draft.model_fields}
    return directory, Draft(**described | {"golden_examples": tuple(golden_examples)})


def spoil(model: Path, versions: set[int]) -> None:
    """Make versions corrupt, each in another way than the one before."""
    for number, version in enumerate(sorted(versions)):
        _SPOILERS[number % len(_SPOILERS)](model / str(version))


def _flip_a_bit_of_the_weights(version: Path) -> None:
    path = next((version / "variables").glob("variables.data*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _promise_another_risk(version: Path) -> None:
    path = version / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["golden_examples"][0]["risk"] = abs(manifest["golden_examples"][0]["risk"] - 0.01)
    path.write_text(json.dumps(manifest))


def _cut_the_manifest(version: Path) -> None:
    path = version / "manifest.json"
    path.write_bytes(path.read_bytes()[:1_000])


def _lose_the_graph(version: Path) -> None:
    (version / "saved_model.pb").unlink()


_SPOILERS: tuple[Callable[[Path], None], ...] = (
    _flip_a_bit_of_the_weights,
    _promise_another_risk,
    _cut_the_manifest,
    _lose_the_graph,
)


if __name__ == "__main__":
    main()
