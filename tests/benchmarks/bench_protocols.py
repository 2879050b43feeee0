"""The same sequences through every protocol: how many a second, beside our own.

From the root of the project, while nothing else runs: python -m tests.benchmarks.bench_protocols [--rounds 3]

All sequences of a load have one length, that of a median history or of the longest, so that no protocol sends padding.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import grpc
import httpx
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from models.manifest import Manifest
from models.repository import Repository
from models.sequences import EncodedBatch
from tests.benchmarks import traffic
from tests.benchmarks.load import saturate, saturate_grpc
from tests.benchmarks.results import Row, show, write
from tests.benchmarks.servers import ROOT, free_port, service

OWN = "/v1/score"
FLAT = "Open Inference Protocol, flat JSON"
BINARY = "Open Inference Protocol, binary both ways"
GRPC = "Open Inference Protocol, gRPC, raw tensors"
TOLERANCE = 1e-6

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
# Of the JSON before binary tensors: the same for every body, as wrk sends the same headers with all.
_HEAD_BYTES = 512
_STREAMS = 8


@dataclass(frozen=True, slots=True)
class Way:
    """How a protocol asks.

    Attributes:
        path: Where.
        write: From a body of our own protocol to one of this.
        read: From an answer to its risks.
        headers: Of every request.
    """

    path: str
    write: Callable[[Manifest, bytes], bytes]
    read: Callable[[httpx.Response], list[float]]
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


def main() -> None:
    """Measure every protocol with one sequence a body, with 64, and with 64 long ones; print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "models" / "artifacts")
    parser.add_argument("--rounds", type=int, default=3, help="Repetitions; medians are reported.")
    parser.add_argument("--seconds", type=float, default=5, help="Length of one load.")
    options = parser.parse_args()

    repository = Repository(options.repository)
    manifest = repository.open(repository.names()[0]).manifest
    port = free_port()
    with service(options.repository, compile_cache_directory=ROOT / ".cache" / "compiled", grpc_port=port) as server:
        measure = Measure(manifest, server.url, f"http://127.0.0.1:{port}", options.rounds, options.seconds)
        quantiles, longest = manifest.reference.length_quantiles, manifest.max_events
        length = max(1, round(float(np.interp(0.5, quantiles.levels, quantiles.values))))
        rows = [
            *measure("one sequence", sequences_a_body=1, num_bodies=200, connections=32, length=length),
            *measure("64 sequences", sequences_a_body=64, num_bodies=50, connections=8, length=length),
            *measure(
                f"64 sequences of {longest} events", sequences_a_body=64, num_bodies=50, connections=8, length=longest
            ),
        ]
    show("The same sequences through every protocol", rows)
    write("protocols", rows)


class Measure:
    """Asks one service in every way.

    Args:
        manifest: Of its model.
        url: Of HTTP.
        grpc_url: Of gRPC.
        rounds: Repetitions; medians count.
        seconds: Length of one load.
    """

    def __init__(self, manifest: Manifest, url: str, grpc_url: str, rounds: int, seconds: float) -> None:
        self._manifest = manifest
        self._url = url
        self._grpc_url = grpc_url
        self._rounds = rounds
        self._seconds = seconds

    def __call__(
        self, what: str, *, sequences_a_body: int, num_bodies: int, connections: int, length: int
    ) -> list[Row]:
        """Bodies a second of every protocol, over those of our own, with sequences of `length` events."""
        bodies = traffic.bodies(self._manifest, num_bodies=num_bodies, sequences_a_body=sequences_a_body, length=length)
        written = {name: [way.write(self._manifest, body) for body in bodies] for name, way in WAYS.items()}
        message = _message(self._manifest, bodies[0]).SerializeToString()
        self._check({name: its_bodies[0] for name, its_bodies in written.items()}, message)
        rates: dict[str, list[float]] = {name: [] for name in (*WAYS, GRPC)}
        # Round by round, so that none has the quieter machine; the first warms up.
        for _ in range(self._rounds + 1):
            for name, way in WAYS.items():
                path = self._url + way.path.format(name=self._manifest.name)
                load = saturate(
                    path, written[name], connections=connections, seconds=self._seconds, headers=way.headers
                )
                _refuse_failures(name, load.failed)
                rates[name].append(load.requests_per_second)
            # Those that wrk has left when its time was over count as failures as well.
            num_failed_before = self._num_failed()
            load = saturate_grpc(
                self._grpc_url,
                _METHOD,
                message,
                connections=connections // _STREAMS,
                streams=_STREAMS,
                # As long as the others, if it is as fast; a load cut off would count as failures.
                num_requests=max(1_000, round(rates[BINARY][-1] * self._seconds)),
            )
            _refuse_failures(GRPC, load.failed + self._num_failed() - num_failed_before)
            rates[GRPC].append(load.requests_per_second)
        medians = {name: median(of_rounds[1:]) for name, of_rounds in rates.items()}
        num_bytes = {name: len(its_bodies[0]) for name, its_bodies in written.items()} | {GRPC: len(message)}
        pairs = [(name, OWN) for name in medians if name != OWN] + [(BINARY, FLAT)]
        return [
            Row(
                f"{what}: {name} over {other}, requests/s",
                f"{medians[name]:,.0f} over {medians[other]:,.0f} ({num_bytes[name]:,} and {num_bytes[other]:,} bytes)",
                medians[name] / medians[other],
                None,
                is_least=True,
            )
            for name, other in pairs
        ]

    def _check(self, bodies: Mapping[str, bytes], message: bytes) -> None:
        """Every way answers the same risks."""
        risks: dict[str, list[float]] = {}
        for name, way in WAYS.items():
            path = self._url + way.path.format(name=self._manifest.name)
            answer = httpx.post(path, content=bodies[name], headers=way.headers, timeout=60)
            risks[name] = way.read(answer.raise_for_status())
        with grpc.insecure_channel(self._grpc_url.removeprefix("http://")) as channel:
            request = service_pb2.ModelInferRequest.FromString(message)
            raw = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request).raw_output_contents[0]
            risks[GRPC] = np.frombuffer(raw, "<f4").tolist()
        for name, its_risks in risks.items():
            difference = float(np.abs(np.subtract(its_risks, risks[OWN])).max())
            if difference > TOLERANCE:
                raise SystemExit(f"Expected the risks of {OWN} from {name}. Received: others, by up to {difference}.")

    def _num_failed(self) -> int:
        """Requests of the Open Inference Protocol that failed, gRPC's among them."""
        answer = httpx.get(f"{self._url}/v2/models/{self._manifest.name}/stats", timeout=60).raise_for_status()
        return sum(int(model["inference_stats"]["fail"]["count"]) for model in answer.json()["model_stats"])


def _rows(manifest: Manifest, body: bytes) -> bytes:
    batch = traffic.batch(manifest, body)
    rows = zip(batch.event_ids.tolist(), batch.elapsed_minutes.tolist(), strict=True)
    return _json({"instances": [{"event_ids": ids, "elapsed_minutes": minutes} for ids, minutes in rows]})


def _columns(manifest: Manifest, body: bytes) -> bytes:
    batch = traffic.batch(manifest, body)
    return _json({"inputs": {"event_ids": batch.event_ids.tolist(), "elapsed_minutes": batch.elapsed_minutes.tolist()}})


def _flat(manifest: Manifest, body: bytes) -> bytes:
    batch = traffic.batch(manifest, body)
    return _tensors(batch, {"data": batch.event_ids.ravel().tolist()}, {"data": batch.elapsed_minutes.ravel().tolist()})


def _nested(manifest: Manifest, body: bytes) -> bytes:
    batch = traffic.batch(manifest, body)
    return _tensors(batch, {"data": batch.event_ids.tolist()}, {"data": batch.elapsed_minutes.tolist()})


def _binary(manifest: Manifest, body: bytes, *, is_out: bool) -> bytes:
    batch = traffic.batch(manifest, body)
    ids, minutes = _raw(batch)
    sizes = [{"parameters": {"binary_data_size": len(raw)}} for raw in (ids, minutes)]
    head = _tensors(batch, *sizes, parameters={"binary_data_output": is_out})
    return head.ljust(_HEAD_BYTES) + ids + minutes


def _binary_in(manifest: Manifest, body: bytes) -> bytes:
    return _binary(manifest, body, is_out=False)


def _binary_both(manifest: Manifest, body: bytes) -> bytes:
    return _binary(manifest, body, is_out=True)


def _message(manifest: Manifest, body: bytes) -> service_pb2.ModelInferRequest:
    batch = traffic.batch(manifest, body)
    request = service_pb2.ModelInferRequest(model_name=manifest.name, raw_input_contents=_raw(batch))
    for name, datatype in (("event_ids", "INT32"), ("elapsed_minutes", "FP32")):
        request.inputs.add(name=name, datatype=datatype, shape=batch.event_ids.shape)
    return request


def _raw(batch: EncodedBatch) -> tuple[bytes, bytes]:
    return batch.event_ids.astype("<i4").tobytes(), batch.elapsed_minutes.astype("<f4").tobytes()


def _tensors(batch: EncodedBatch, ids: Mapping[str, object], minutes: Mapping[str, object], **more: object) -> bytes:
    shape = [*batch.event_ids.shape]
    first = {"name": "event_ids", "shape": shape, "datatype": "INT32", **ids}
    second = {"name": "elapsed_minutes", "shape": shape, "datatype": "FP32", **minutes}
    return _json({"inputs": [first, second], **more})


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _risks_in_json(answer: httpx.Response) -> list[float]:
    risks: list[float] = answer.json()["outputs"][0]["data"]
    return risks


def _risks_in_binary(answer: httpx.Response) -> list[float]:
    start = int(answer.headers["Inference-Header-Content-Length"])
    size = json.loads(answer.content[:start])["outputs"][0]["parameters"]["binary_data_size"]
    risks: list[float] = np.frombuffer(answer.content[start : start + size], "<f4").tolist()
    return risks


def _refuse_failures(name: str, num_failed: int) -> None:
    if num_failed:
        raise SystemExit(f"Expected every request to succeed. Received: {num_failed} failures of {name}.")


_BINARY_HEADERS = {
    "Content-Type": "application/octet-stream",
    "Inference-Header-Content-Length": str(_HEAD_BYTES),
}
WAYS = {
    OWN: Way(OWN, lambda _, body: body, lambda answer: [one["risk"] for one in answer.json()["scores"]]),
    "TensorFlow Serving, by row": Way(
        "/v1/models/{name}:predict", _rows, lambda answer: [one["risk"] for one in answer.json()["predictions"]]
    ),
    "TensorFlow Serving, by column": Way(
        "/v1/models/{name}:predict", _columns, lambda answer: list(answer.json()["outputs"]["risk"])
    ),
    "Open Inference Protocol, nested JSON": Way("/v2/models/{name}/infer", _nested, _risks_in_json),
    FLAT: Way("/v2/models/{name}/infer", _flat, _risks_in_json),
    "Open Inference Protocol, binary in": Way("/v2/models/{name}/infer", _binary_in, _risks_in_json, _BINARY_HEADERS),
    BINARY: Way("/v2/models/{name}/infer", _binary_both, _risks_in_binary, _BINARY_HEADERS),
}

if __name__ == "__main__":
    main()
