"""The server of the Open Inference Protocol over gRPC: whom it lets in, what it counts, how it ends."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from service.protocols.open_inference_grpc import max_calls
from service.settings import Settings
from tests.service.conftest import ROOT, STOP_SECONDS, Service, StartService
from tests.service.protocols.grpc_services import Held, grpc_address, inputs, typed_request


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


def test_as_many_calls_are_let_in_as_memory_allows_for() -> None:
    chosen = {"max_waiting_bytes": 40_000_000, "max_body_bytes": 4_000_000}

    assert max_calls(Settings.model_validate(chosen)) == 10 + 128
    assert max_calls(Settings.model_validate({**chosen, "max_sequences": 20, "max_waiting_sequences": 20})) == 20


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
