"""Other servers on the same artifact and the same sequences, in the same run as ours.

From the root of the project, while nothing else runs: python -m tests.benchmarks.bench_peers [--only litserve ...]

Every peer lives in an environment of its own under .cache/peers, made on first use. All sequences have 40 events:
none of the peers but ours takes a batch of mixed lengths without help.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from models.manifest import Manifest
from models.repository import Repository
from tests.benchmarks import traffic
from tests.benchmarks.charts import bar_chart
from tests.benchmarks.load import Load, saturate
from tests.benchmarks.results import DIRECTORY, Row, write
from tests.benchmarks.servers import ROOT, Running, free_port, running, service

EVENTS = 40
PEERS = ROOT / "tests" / "benchmarks" / "peers"
ENVIRONMENTS = ROOT / ".cache" / "peers"

_TENSORFLOW = "tensorflow-cpu==2.21.0"
_AGAIN = "seqrisk, again last"


@dataclass(frozen=True, slots=True)
class Peer:
    """How one server is installed, started and asked.

    Attributes:
        requirements: Its packages.
        command: What to run inside its environment; {port} is filled in.
        path: Where it is asked.
        takes_tensors: Whether it is asked in the Open Inference Protocol instead of our own.
        interpreter: Of its environment.
    """

    requirements: tuple[str, ...]
    command: tuple[str, ...]
    path: str = "/v1/score"
    takes_tensors: bool = False
    interpreter: str = sys.executable


ALL = {
    "litserve": Peer(("litserve", _TENSORFLOW), ("python", "litserve_server.py")),
    "bentoml": Peer(
        ("bentoml", _TENSORFLOW),
        ("bentoml", "serve", "bentoml_service:Risk", "--host", "127.0.0.1", "--port", "{port}"),
    ),
    "mlserver": Peer(
        ("mlserver", "tensorflow-cpu"),
        ("mlserver", "start", "{settings}"),
        path="/v2/models/risk/infer",
        takes_tensors=True,
    ),
    "rayserve": Peer(("ray[serve]", _TENSORFLOW), ("python", "rayserve_app.py")),
    "triton": Peer(
        ("nvidia-pytriton", "tensorflow-cpu"),
        ("python", "triton_server.py"),
        path="/v2/models/risk/infer",
        takes_tensors=True,
        interpreter="/usr/bin/python3",  # its embedded Python takes the standard library from there
    ),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one server did: a single sequence alone, at concurrency 32, bodies of 64 at concurrency 8."""

    alone: Load
    single: Load
    many: Load
    start_seconds: float
    resident_bytes: int


def main() -> None:
    """Measure every peer and ourselves, and print the factors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "models" / "artifacts")
    parser.add_argument("--only", nargs="*", choices=ALL, default=list(ALL))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    repository = Repository(options.repository)
    manifest = repository.open(repository.names()[0]).manifest
    ask = Asker(manifest, options.seconds, options.rounds)
    seen = {}
    with service(options.repository, compile_cache_directory=ROOT / ".cache" / "compiled") as server:
        seen["seqrisk"] = ask(server, "/v1/score", takes_tensors=False)
    for name in options.only:
        with peer(name, options.repository, ask) as server:
            seen[name] = ask(server, ALL[name].path, takes_tensors=ALL[name].takes_tensors)
    with service(options.repository, compile_cache_directory=ROOT / ".cache" / "compiled") as server:
        seen[_AGAIN] = ask(server, "/v1/score", takes_tensors=False)
    _show(seen)
    failing = [name for name, one in seen.items() if any(load.failed for load in (one.alone, one.single, one.many))]
    if any(name.startswith("seqrisk") for name in failing):
        raise SystemExit("Expected every request to succeed. Received: failures of ours; no figure is worth anything.")
    seen = {name: one for name, one in seen.items() if name not in failing}
    write("peers", _rows(seen))
    rates = {name: one.single.requests_per_second for name, one in seen.items() if name != _AGAIN}
    title = "Single sequences of 40 events, concurrency 32: requests/s on two cores"
    bar_chart(DIRECTORY / "peers.svg", title, rates, "seqrisk")


class Asker:
    """Sends every server the same sequences.

    Args:
        manifest: Of the artifact all of them serve.
        seconds: Length of one load.
        rounds: Repetitions; medians count.
    """

    def __init__(self, manifest: Manifest, seconds: float, rounds: int) -> None:
        self._seconds = seconds
        self._rounds = rounds
        self._single = traffic.bodies(manifest, num_bodies=200, sequences_a_body=1, length=EVENTS)
        self._many = traffic.bodies(manifest, num_bodies=50, sequences_a_body=64, length=EVENTS)
        self._manifest = manifest

    def __call__(self, server: Running, path: str, *, takes_tensors: bool) -> Seen:
        """Measure one server, after checking that it answers with risks."""
        url = server.url + path
        single, many = self.bodies(takes_tensors=takes_tensors)
        answer = httpx.post(url, content=many[0], headers={"Content-Type": "application/json"}, timeout=60)
        if "risk" not in answer.text:
            raise SystemExit(f"Expected risks from {url}. Received: {answer.status_code} {answer.text[:300]}.")
        return Seen(
            alone=self._load(url, single, 1),
            single=self._load(url, single, 32),
            many=self._load(url, many, 8),
            start_seconds=server.start_seconds,
            resident_bytes=server.resident_bytes,
        )

    def bodies(self, *, takes_tensors: bool) -> tuple[list[bytes], list[bytes]]:
        """Bodies of one sequence and of 64."""
        if not takes_tensors:
            return self._single, self._many
        return [self._tensors(body) for body in self._single], [self._tensors(body) for body in self._many]

    def _tensors(self, body: bytes) -> bytes:
        batch = traffic.batch(self._manifest, body)
        shape = list(batch.event_ids.shape)
        ids, minutes = batch.event_ids.ravel().tolist(), batch.elapsed_minutes.ravel().tolist()
        inputs = [
            {"name": "event_ids", "shape": shape, "datatype": "INT32", "data": ids},
            {"name": "elapsed_minutes", "shape": shape, "datatype": "FP32", "data": minutes},
        ]
        return json.dumps({"inputs": inputs}, separators=(",", ":")).encode()

    def _load(self, url: str, bodies: list[bytes], connections: int) -> Load:
        loads = [
            saturate(url, bodies, connections=connections, seconds=self._seconds) for _ in range(self._rounds + 1)
        ][1:]  # the first warms up
        return sorted(loads, key=lambda load: load.requests_per_second)[len(loads) // 2]


@contextmanager
def peer(name: str, repository: Path, ask: Asker) -> Iterator[Running]:
    """A peer in its own environment; the block begins when it answers its first scoring request."""
    directory, description, port = environment(name), ALL[name], free_port()
    settings = _mlserver_settings(port) if name == "mlserver" else None
    command = [part.format(port=port, settings=settings) for part in description.command]
    body = ask.bodies(takes_tensors=description.takes_tensors)[0][0]
    headers = {"Content-Type": "application/json"}
    ready = httpx.Request("POST", f"http://127.0.0.1:{port}{description.path}", content=body, headers=headers)
    variables = {
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{PEERS}:{ROOT}",
        "PORT": str(port),
        "SEQRISK_REPOSITORY": str(repository.resolve()),
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command[0] = str(directory / "bin" / command[0])
    with running(command, environment=variables, port=port, ready=ready, directory=PEERS) as server:
        yield server


def environment(name: str) -> Path:
    """The peer's own virtual environment, made on first use."""
    directory = ENVIRONMENTS / name
    if not (directory / "bin" / "python").exists():
        Console().print(f"Installing {name} into {directory.relative_to(ROOT)} (once, a few minutes) ...")
        subprocess.run([sys.executable, "-m", "virtualenv", "-p", ALL[name].interpreter, directory], check=True)
        packages = [*ALL[name].requirements, "pydantic", "fsspec"]
        subprocess.run([directory / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)
    return directory


def _mlserver_settings(port: int) -> Path:
    """MLServer reads its settings from files only."""
    directory = ENVIRONMENTS / "mlserver-settings"
    directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "debug": False,
        "metrics_dir": str(directory / ".metrics"),
    }
    (directory / "settings.json").write_text(json.dumps(settings))
    model = {"name": "risk", "implementation": "mlserver_runtime.Risk", "max_batch_size": 64, "max_batch_time": 0.002}
    (directory / "model-settings.json").write_text(json.dumps(model))
    return directory


def _show(seen: dict[str, Seen]) -> None:
    table = Table(
        "server", "1 alone", "1 at 32", "64 at 8", "start", "resident", title="requests/s (p50 / p99 ms), median rounds"
    )
    for name, one in seen.items():
        loads = [
            f"{load.requests_per_second:,.0f} ({load.p50_ms:.1f} / {load.p99_ms:.1f})"
            + (" failures!" * bool(load.failed))
            for load in (one.alone, one.single, one.many)
        ]
        table.add_row(name, *loads, f"{one.start_seconds:.1f} s", f"{one.resident_bytes / 2**20:.0f} MiB")
    Console().print(table)


def _rows(seen: dict[str, Seen]) -> list[Row]:
    """Our worse run over the best peer, load by load."""
    ours = [one for name, one in seen.items() if name.startswith("seqrisk")]
    peers = {name: one for name, one in seen.items() if not name.startswith("seqrisk")}
    loads: dict[str, Callable[[Seen], Load]] = {
        "single sequences, concurrency 32": lambda one: one.single,
        "bodies of 64, concurrency 8": lambda one: one.many,
        "one request alone": lambda one: one.alone,
    }
    rows = []
    for what, load in loads.items():
        own = min((load(one) for one in ours), key=lambda one: one.requests_per_second)
        best = max(peers, key=lambda name: load(peers[name]).requests_per_second)
        theirs = load(peers[best])
        calmest = min(peers, key=lambda name: load(peers[name]).p99_ms)
        rows += [
            Row(
                f"{what}: requests/s over the best peer ({best})",
                f"{own.requests_per_second:,.0f} over {theirs.requests_per_second:,.0f}",
                own.requests_per_second / theirs.requests_per_second,
                2.0,
                is_least=True,
            ),
            Row(
                f"{what}: p99 over the calmest peer's ({calmest})",
                f"{own.p99_ms:.1f} ms over {load(peers[calmest]).p99_ms:.1f} ms",
                own.p99_ms / load(peers[calmest]).p99_ms,
                1.0,
                is_least=False,
            ),
        ]
    return rows


if __name__ == "__main__":
    main()
