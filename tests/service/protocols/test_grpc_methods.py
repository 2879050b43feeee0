"""The methods over gRPC: an unmodified client against a running server."""

import asyncio
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import aio, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from service.reader import Reader
from tests.service.conftest import Service
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
