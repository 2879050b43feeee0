"""Calls of KServe's own client, unmodified; `prove_kserve` runs them in an environment that holds this client alone.

Standard input tells where the service is, whether it is ready, and what to send; standard output, what came of it.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import numpy as np
from kserve import (  # type: ignore[import-not-found]  # in an environment of its own
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput  # type: ignore[import-not-found]

TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Given:
    """What to ask for.

    Attributes:
        url: Of the service.
        model: Its name.
        is_ready: Whether the service answers for it.
        event_types: Rows of strings, padded with "".
        event_ids: The same as ids, padded with 0.
        elapsed_minutes: Padded with 0.
        risks: What our own protocol says of each row.
    """

    url: str
    model: str
    is_ready: bool
    event_types: list[list[str]]
    event_ids: list[list[int]]
    elapsed_minutes: list[list[float]]
    risks: list[float]


Call = Callable[[InferenceRESTClient, Given], Awaitable[None]]


async def live(client: InferenceRESTClient, given: Given) -> None:
    assert await client.is_server_live(given.url) is True


async def ready(client: InferenceRESTClient, given: Given) -> None:
    assert await client.is_server_ready(given.url) is True


async def model_ready(client: InferenceRESTClient, given: Given) -> None:
    assert await client.is_model_ready(given.url, given.model) is given.is_ready


async def not_ready(client: InferenceRESTClient, given: Given) -> None:
    await _refused(client.is_server_ready(given.url), 503, "Expected ")


async def unknown_model_is_not_ready(client: InferenceRESTClient, given: Given) -> None:
    assert await client.is_model_ready(given.url, "nope") is False


async def unknown_model_is_refused(client: InferenceRESTClient, given: Given) -> None:
    await _refused(client.is_model_ready(given.url, "nope"), 404, "Could not find any versions of model nope")


async def predict_rows(client: InferenceRESTClient, given: Given) -> None:
    rows = zip(given.event_ids, given.elapsed_minutes, strict=True)
    instances = [{"event_ids": ids, "elapsed_minutes": minutes} for ids, minutes in rows]
    answer = await client.infer(given.url, {"instances": instances}, model_name=given.model)
    _check([one["risk"] for one in answer["predictions"]], given)


async def predict_columns(client: InferenceRESTClient, given: Given) -> None:
    inputs = {"event_types": given.event_types, "elapsed_minutes": given.elapsed_minutes}
    answer = await client.infer(given.url, {"inputs": inputs}, model_name=given.model)
    _check(answer["outputs"]["risk"], given)


async def predict_nonsense(client: InferenceRESTClient, given: Given) -> None:
    await _refused(client.infer(given.url, {}, model_name=given.model), 400, "Missing 'inputs' or 'instances' key")


async def predict_with_unknown_model(client: InferenceRESTClient, given: Given) -> None:
    await _refused(client.infer(given.url, {}, model_name="nope"), 404, "Servable not found")


async def explain(client: InferenceRESTClient, given: Given) -> None:
    await _refused(client.explain(given.url, given.model, {"instances": []}), 400, "Malformed request: POST")


def infer(*, types: bool, binary_in: bool, outputs: list[RequestedOutput] | None, **parameters: bool) -> Call:
    """A request with tensors of this kind."""

    async def call(client: InferenceRESTClient, given: Given) -> None:
        request = _request(given, types=types, is_binary=binary_in, outputs=outputs, **parameters)
        answer = await client.infer(given.url, request, model_name=given.model)
        assert answer.model_name == given.model
        assert answer.id == "INC1"
        wanted = [output.name for output in outputs] if outputs else ["risk", "auxiliary_risk"]
        assert [output.name for output in answer.outputs] == wanted
        _check(answer.get_output_by_name("risk").as_numpy().tolist(), given)

    return call


async def infer_a_dict(client: InferenceRESTClient, given: Given) -> None:
    request, _ = _request(given, types=False, is_binary=False).to_rest()
    answer = await client.infer(given.url, request, model_name=given.model)
    _check(answer.get_output_by_name("risk").as_numpy().tolist(), given)


async def infer_nonsense(client: InferenceRESTClient, given: Given) -> None:
    await _refused(client.infer(given.url, {"inputs": 1}, model_name=given.model), 400, "Expected an array as `inputs`")


async def infer_with_unknown_output(client: InferenceRESTClient, given: Given) -> None:
    request = _request(given, types=False, is_binary=True, outputs=[RequestedOutput("zzz")])
    await _refused(client.infer(given.url, request, model_name=given.model), 400, "unexpected inference output 'zzz'")


async def infer_with_unknown_model(client: InferenceRESTClient, given: Given) -> None:
    request = _request(given, types=False, is_binary=True)
    await _refused(client.infer(given.url, request, model_name="nope"), 404, "unknown model: 'nope'")


def _binary(name: str, *, is_binary: bool) -> RequestedOutput:
    return RequestedOutput(name, {"binary_data": is_binary})


READY_CALLS: dict[str, dict[str, Call]] = {
    "v1": {
        "is_server_live": live,
        "is_model_ready": model_ready,
        "is_model_ready, unknown model": unknown_model_is_refused,
        "infer, rows": predict_rows,
        "infer, columns with event types": predict_columns,
        "infer, nonsense": predict_nonsense,
        "infer, unknown model": predict_with_unknown_model,
        "explain, which no model here has": explain,
    },
    "v2": {
        "is_server_live": live,
        "is_server_ready": ready,
        "is_model_ready": model_ready,
        "is_model_ready, unknown model": unknown_model_is_not_ready,
        "infer, JSON": infer(types=False, binary_in=False, outputs=None),
        "infer, JSON with event types": infer(types=True, binary_in=False, outputs=None),
        "infer, binary": infer(types=False, binary_in=True, outputs=None),
        "infer, binary with event types": infer(types=True, binary_in=True, outputs=None),
        "infer, binary both ways": infer(types=False, binary_in=True, outputs=None, binary_data_output=True),
        "infer, JSON in and binary out": infer(types=False, binary_in=False, outputs=None, binary_data_output=True),
        "infer, outputs asked for": infer(
            types=False,
            binary_in=True,
            outputs=[_binary("auxiliary_risk", is_binary=False), _binary("risk", is_binary=True)],
        ),
        "infer, a dict": infer_a_dict,
        "infer, nonsense": infer_nonsense,
        "infer, unknown output": infer_with_unknown_output,
        "infer, unknown model": infer_with_unknown_model,
    },
}
UNREADY_CALLS: dict[str, dict[str, Call]] = {
    "v1": {"is_server_live before it is ready": live, "is_model_ready before it is": model_ready},
    "v2": {
        "is_server_live before it is ready": live,
        "is_server_ready before it is": not_ready,
        "is_model_ready before it is": model_ready,
    },
}


async def failures(given: Given) -> dict[str, str | None]:
    """What went wrong with each call; None where nothing did."""
    seen: dict[str, str | None] = {}
    for protocol, calls in (READY_CALLS if given.is_ready else UNREADY_CALLS).items():
        async with InferenceRESTClient(RESTConfig(protocol=protocol)) as client:
            for name, call in calls.items():
                try:
                    await call(client, given)
                except Exception as error:
                    seen[f"{protocol} {name}"] = f"{type(error).__name__}: {error}"
                else:
                    seen[f"{protocol} {name}"] = None
    return seen


def _request(
    given: Given, *, types: bool, is_binary: bool, outputs: list[RequestedOutput] | None = None, **parameters: bool
) -> InferRequest:
    events = np.array(given.event_types, np.object_) if types else np.array(given.event_ids, np.int32)
    minutes = np.array(given.elapsed_minutes, np.float32)
    first = InferInput("event_types" if types else "event_ids", [*events.shape], "BYTES" if types else "INT32")
    second = InferInput("elapsed_minutes", [*minutes.shape], "FP32")
    first.set_data_from_numpy(events, binary_data=is_binary)
    second.set_data_from_numpy(minutes, binary_data=is_binary)
    return InferRequest(
        model_name=given.model,
        request_id="INC1",
        infer_inputs=[first, second],
        request_outputs=outputs,
        parameters=parameters or None,
    )


def _check(risks: list[float], given: Given) -> None:
    assert len(risks) == len(given.risks)
    assert np.abs(np.array(risks) - given.risks).max() <= TOLERANCE, risks


async def _refused(call: Awaitable[object], status: int, text: str) -> None:
    try:
        await call
    except httpx.HTTPStatusError as error:
        refusal = error
    else:
        raise AssertionError("Expected a refusal. Received: none.")
    assert refusal.response.status_code == status, refusal
    assert text in str(refusal), refusal


if __name__ == "__main__":
    json.dump(asyncio.run(failures(Given(**json.load(sys.stdin)))), sys.stdout)
