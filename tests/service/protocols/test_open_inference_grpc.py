"""The Open Inference Protocol over gRPC: an unmodified client against a running server."""

import asyncio
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import aio, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from models.repository import Repository
from service.intake import Intake
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.protocols.open_inference_grpc import GrpcServer, max_calls
from service.reader import Reader
from service.scoring import Scoring
from service.settings import Settings
from tests.service.conftest import ROOT, STOP_SECONDS, Service, StartService
from tests.service.live_models import live_model

EVENT_TYPES = [["Opened/Phone", "New/P3", "New/P3"], ["7", "never seen", ""]]
IDS = [[2, 3, 3], [5, 1, 0]]
MINUTES = [[447.0, 441.0, 0.0], [9.5, 0.0, 0.0]]


def grpc_address(service: Service) -> str:
    """Where it answers gRPC, as its log says."""
    service.address()
    until = time.monotonic() + STOP_SECONDS
    while not (found := re.search(r"gRPC is answered on ([\d.]+), port (\d+)", service.errors.read_text())):
        assert time.monotonic() < until, service.errors.read_text()
        time.sleep(0.02)
    return f"{found[1]}:{found[2]}"


@pytest.fixture(scope="module")
def address(service: Service) -> str:
    return grpc_address(service)


@pytest.fixture
def client_of_triton(address: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(address) as client:
        yield client


@pytest.fixture
def stub(address: str) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def inputs(*, types: bool = False) -> list[triton.InferInput]:
    if types:
        events = triton.InferInput("event_types", [2, 3], "BYTES")
        events.set_data_from_numpy(np.array(EVENT_TYPES, np.object_))
    else:
        events = triton.InferInput("event_ids", [2, 3], "INT64")
        events.set_data_from_numpy(np.array(IDS, np.int64))
    minutes = triton.InferInput("elapsed_minutes", [2, 3], "FP32")
    minutes.set_data_from_numpy(np.array(MINUTES, np.float32))
    return [events, minutes]


def typed_request() -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name="tiny")
    events = request.inputs.add(name="event_ids", datatype="INT32", shape=[2, 3])
    events.contents.int_contents.extend([*IDS[0], *IDS[1]])
    minutes = request.inputs.add(name="elapsed_minutes", datatype="FP64", shape=[2, 3])
    minutes.contents.fp64_contents.extend([*MINUTES[0], *MINUTES[1]])
    return request


def test_triton_client_gets_the_outputs_it_asks_for(client_of_triton: triton.InferenceServerClient) -> None:
    result = client_of_triton.infer(
        "tiny",
        inputs(),
        model_version="1",
        outputs=[triton.InferRequestedOutput("auxiliary_risk")],
        request_id="INC1",
        compression_algorithm="gzip",
        client_timeout=60,
    )

    assert (result.get_response().id, result.get_response().model_version) == ("INC1", "1")
    assert [output.name for output in result.get_response().outputs] == ["auxiliary_risk"]
    assert result.as_numpy("auxiliary_risk").shape == (2,)


def test_tritons_asyncio_client_scores(address: str, client_of_triton: triton.InferenceServerClient) -> None:
    async def risks() -> list[float]:
        async with aio.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            found: list[float] = (await client.infer("tiny", inputs())).as_numpy("risk").tolist()
            return found

    assert asyncio.run(risks()) == client_of_triton.infer("tiny", inputs()).as_numpy("risk").tolist()


def test_triton_client_reads_health_metadata_config_statistics_and_index(
    client: httpx.Client, client_of_triton: triton.InferenceServerClient
) -> None:
    assert client_of_triton.is_server_live()
    assert client_of_triton.is_server_ready()
    assert client_of_triton.is_model_ready("tiny", "1")
    for message, path in (
        (client_of_triton.get_server_metadata(as_json=True), "/v2"),
        (client_of_triton.get_model_metadata("tiny", as_json=True), "/v2/models/tiny"),
    ):
        answer = client.get(path).json()
        assert message.keys() == answer.keys()
        assert message["name"] == answer["name"]
    config = client_of_triton.get_model_config("tiny").config
    assert (config.name, config.max_batch_size, [one.name for one in config.output]) == (
        "tiny",
        20,
        ["risk", "auxiliary_risk"],
    )
    before = client_of_triton.get_inference_statistics("tiny").model_stats[0]
    client_of_triton.infer("tiny", inputs())
    (after,) = client_of_triton.get_inference_statistics().model_stats
    assert after.inference_count - before.inference_count == 2
    assert after.inference_stats.success.count - before.inference_stats.success.count == 1
    (entry,) = client_of_triton.get_model_repository_index().models
    assert (entry.name, entry.version, entry.state) == ("tiny", "1", "READY")


def test_triton_client_is_told_what_is_wrong(client_of_triton: triton.InferenceServerClient) -> None:
    def status(*arguments: object, **options: object) -> tuple[str, str]:
        with pytest.raises(InferenceServerException) as refusal:
            client_of_triton.infer(*arguments, **options)
        return refusal.value.status().removeprefix("StatusCode."), refusal.value.message()

    assert status("nope", inputs())[0] == "NOT_FOUND"
    assert status("tiny", inputs(), model_version="99")[0] == "NOT_FOUND"
    assert status("tiny", inputs()[:1])[0] == "INVALID_ARGUMENT"
    assert status("tiny", inputs(), timeout=1)[0] == "DEADLINE_EXCEEDED"
    code, message = status("tiny", inputs(), outputs=[triton.InferRequestedOutput("zzz")])
    assert (code, "unexpected inference output 'zzz' for model 'tiny'" in message) == ("INVALID_ARGUMENT", True)
    for control in (client_of_triton.load_model, client_of_triton.unload_model):
        with pytest.raises(InferenceServerException, match="PERMISSION_DENIED"):
            control("tiny")
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client_of_triton.is_model_ready("nope")


@pytest.mark.parametrize("minutes", [float("nan"), float("inf"), 1e39, -1.0, 100_001.0])
def test_minutes_that_are_none_are_an_error_and_never_a_score(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, minutes: float
) -> None:
    request = typed_request()
    request.inputs[1].contents.fp64_contents[0] = minutes

    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(request)

    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_longer_than_a_body_may_be_is_refused(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    request = typed_request()
    request.raw_input_contents.append(bytes(20_000))

    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(request)

    assert refusal.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_is_not_offered_is_unimplemented(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        stub.LogSettings(service_pb2.LogSettingsRequest())

    assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", ["ServerLive", "ModelReady", "ModelConfig", "ModelInfer", "RepositoryIndex"])
def test_bytes_that_are_no_message_are_the_clients_fault(address: str, client: httpx.Client, method: str) -> None:
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"\x0a\x7ftiny")

    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert re.fullmatch(r"Expected a \w+Request\. Received: bytes .*", refusal.value.details())
    assert dict(refusal.value.trailing_metadata())["x-request-id"]
    counted = f'code="invalid_tensors",route="/inference.GRPCInferenceService/{method}"'
    assert f"seqrisk_rejects_total{{{counted}}}" in client.get("/metrics").text


def test_requests_and_refusals_are_counted(
    client: httpx.Client, client_of_triton: triton.InferenceServerClient
) -> None:
    def responded() -> float:
        (count,) = re.findall(r'seqrisk_stage_seconds_count{stage="respond"} (\S+)', client.get("/metrics").text)
        return float(count)

    before = responded()
    client_of_triton.infer("tiny", inputs())
    with pytest.raises(InferenceServerException):
        client_of_triton.infer("nope", inputs())

    assert responded() - before == 1
    metrics = client.get("/metrics").text
    route = 'route="/inference.GRPCInferenceService/ModelInfer"'
    assert re.search(rf'seqrisk_requests_total{{method="POST",{route},status="2xx"}} [1-9]', metrics)
    assert re.search(rf'seqrisk_rejects_total{{code="unknown_model",{route}}} [1-9]', metrics)


def test_it_is_not_ready_before_the_model_is_and_stops_with_the_process(
    start_service: StartService, repository: Path
) -> None:
    service = start_service(SEQRISK_REPOSITORY=str(repository), SEQRISK_GRPC_PORT="0")
    with triton.InferenceServerClient(grpc_address(service)) as client:
        assert client.is_server_live()
        assert not client.is_server_ready()
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            client.infer("tiny", inputs())

        assert service.stop(signal.SIGTERM) == 0
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            client.is_server_live()
    assert "Traceback" not in service.errors.read_text()


class Held:
    """A service within this process whose model waits to be let go."""

    def __init__(self, repository: Path, reader: Reader | None = None) -> None:
        settings = Settings(model="tiny", grpc_port=0)
        metrics, self.lifecycle = Metrics(), Lifecycle()
        self.lineup, self.num_calls = LineUp(settings, metrics), 0
        self.is_running, self.may_run = threading.Event(), threading.Event()
        manifest = Repository(repository).open("tiny").manifest
        self.model = self.lineup._champion = live_model(manifest, version=1, before=self._hold)
        self.intake = intake = Intake(settings.max_waiting_bytes, settings.max_turn_seconds, lambda: False)
        scoring = Scoring(settings, self.lineup, metrics, intake, reader or Reader())
        self.server = GrpcServer(settings, self.lineup, metrics=metrics, lifecycle=self.lifecycle, scoring=scoring)

    def _hold(self) -> None:
        self.num_calls += 1
        self.is_running.set()
        self.may_run.wait()


async def refused_at_last(channel: grpc.aio.Channel) -> grpc.StatusCode | None:
    """How a server that is to accept nothing more says so."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    for _ in range(1_000):
        try:
            await stub.ServerLive(service_pb2.ServerLiveRequest())
        except grpc.RpcError as refusal:
            # gRPC's own word for a call that came in the very moment, and that nobody had looked at yet.
            if refusal.code() != grpc.StatusCode.CANCELLED:
                return refusal.code()
    return None


def test_what_was_accepted_is_answered_before_the_end(repository: Path) -> None:
    async def stop_meanwhile() -> service_pb2.ModelInferResponse:
        held = Held(repository)
        await held.server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{held.server.port}") as channel:
            call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(typed_request())
            accepted = asyncio.ensure_future(call)
            await asyncio.to_thread(held.is_running.wait)
            # As the server of HTTP does: stopping follows only when that has finished.
            held.lifecycle.close(60)
            assert await refused_at_last(channel) == grpc.StatusCode.UNAVAILABLE
            held.may_run.set()
            answer = await accepted
        await held.server.stop()
        await held.model.drain()
        return answer

    assert list(asyncio.run(stop_meanwhile()).outputs[0].shape) == [2]


def test_what_takes_longer_than_is_left_does_not_hold_up_the_end(repository: Path) -> None:
    async def stop_late() -> grpc.StatusCode:
        held = Held(repository)
        await held.server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{held.server.port}") as channel:
            call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(typed_request())
            accepted = asyncio.ensure_future(call)
            await asyncio.to_thread(held.is_running.wait)
            # Requests of HTTP have used up the time.
            held.lifecycle.close(0)
            await held.server.stop()
            with pytest.raises(grpc.RpcError) as refusal:
                await accepted
        held.may_run.set()
        await held.model.drain()
        return refusal.value.code()

    assert asyncio.run(stop_late()) == grpc.StatusCode.UNAVAILABLE


def test_every_answer_names_its_request_and_a_model_that_is_to_stop_is_not_ready(repository: Path) -> None:
    async def ask() -> tuple[list[str], list[bool]]:
        held = Held(repository)
        await held.server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{held.server.port}") as channel:
            stub, asked = service_pb2_grpc.GRPCInferenceServiceStub(channel), service_pb2.ModelReadyRequest(name="tiny")
            named = stub.ModelReady(asked, metadata=(("x-request-id", "INC1"),))
            refused = stub.ModelReady(service_pb2.ModelReadyRequest(name="nope"), metadata=(("x-request-id", "INC2"),))
            unnamed = stub.ModelReady(asked)
            names = [str(dict(await call.trailing_metadata())["x-request-id"]) for call in (named, refused, unnamed)]
            held.lifecycle.stop()
            ready = [(await named).ready, (await stub.ModelReady(asked)).ready]
        await held.server.stop()
        await held.model.drain()
        return names, ready

    (*given, found), ready = asyncio.run(ask())
    assert given == ["INC1", "INC2"]
    assert found
    assert ready == [True, False]


class ReaderHere(Reader):
    """Reads in this process what could be read in another, and looks at what counts as waiting meanwhile."""

    held: Held
    waiting_bytes = 0

    async def call(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        self.waiting_bytes = self.held.intake.waiting_bytes
        function, *given = pickle.loads(pickle.dumps((function, *arguments)))
        return pickle.loads(pickle.dumps(function(*given)))


def test_a_large_message_is_counted_and_read_elsewhere_and_no_message_is_an_error(repository: Path) -> None:
    request = service_pb2.ModelInferRequest(model_name="tiny")
    request.inputs.add(name="event_ids", datatype="INT32", shape=[20, 1_000]).contents.int_contents.extend([2] * 20_000)
    minutes = request.inputs.add(name="elapsed_minutes", datatype="FP64", shape=[20, 1_000])
    minutes.contents.fp64_contents.extend([0.0] * 20_000)
    reader = ReaderHere()

    async def ask() -> tuple[service_pb2.ModelInferResponse, grpc.StatusCode]:
        held = reader.held = Held(repository, reader)
        held.may_run.set()
        await held.server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{held.server.port}") as channel:
            answer = await service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
            with pytest.raises(grpc.RpcError) as refusal:
                await channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(b"\x0a\x04tiny\x2a\x01\xff")
        await held.server.stop()
        await held.model.drain()
        return answer, refusal.value.code()

    answer, code = asyncio.run(ask())
    assert list(answer.outputs[0].shape) == [20]
    assert reader.waiting_bytes == request.ByteSize()
    assert reader.held.intake.waiting_bytes == 0
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_as_many_calls_are_let_in_as_memory_allows_for() -> None:
    chosen = {"max_waiting_bytes": 40_000_000, "max_body_bytes": 4_000_000}

    assert max_calls(Settings.model_validate(chosen)) == 10 + 128
    assert max_calls(Settings.model_validate({**chosen, "max_sequences": 20, "max_waiting_sequences": 20})) == 20


def test_whose_time_has_run_out_never_reaches_the_model(repository: Path) -> None:
    async def wait_in_vain() -> Held:
        held = Held(repository)
        await held.server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{held.server.port}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            first = asyncio.ensure_future(stub.ModelInfer(typed_request()))
            await asyncio.to_thread(held.is_running.wait)
            with pytest.raises(grpc.RpcError) as refusal:
                await stub.ModelInfer(typed_request(), timeout=0.1)
            assert refusal.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            held.may_run.set()
            await first
        await held.server.stop()
        await held.model.drain()
        return held

    held = asyncio.run(wait_in_vain())
    assert held.num_calls == 1
    assert (held.model.statistics.success.count, held.model.statistics.fail.count) == (1, 1)


def test_a_taken_port_stops_it_with_a_sentence(start_service: StartService, repository: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = start_service(SEQRISK_REPOSITORY=str(repository), SEQRISK_GRPC_PORT=str(taken.getsockname()[1]))

        assert service.process.wait(STOP_SECONDS) == 2
    assert "SEQRISK_GRPC_PORT" in service.errors.read_text()
    assert "Traceback" not in service.errors.read_text()


WITHOUT_THE_EXTRA = """
import sys
sys.modules["grpc"] = None
sys.argv = ["service", "serve"]
from service.__main__ import commands
commands()
"""


def test_without_its_extra_it_stops_and_names_it(repository: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA],
        cwd=ROOT,
        env={"SEQRISK_REPOSITORY": str(repository), "SEQRISK_PORT": "0", "SEQRISK_GRPC_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=STOP_SECONDS,
        check=False,
    )

    assert ended.returncode == 2
    assert "'.[grpc]'" in ended.stderr
    assert "Traceback" not in ended.stderr
