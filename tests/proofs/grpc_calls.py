"""Mutated messages to every method of gRPC, and what came of them.

METHODS           of the service
valid_messages    messages that it takes: what mutations start from
call              sends mutations, and counts the answers
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
from tritonclient.grpc import service_pb2

from models.manifest import Manifest
from models.sequences import Vocabulary, encode
from tests.proofs.requests_in_use import Sent

_SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_NUM_AT_ONCE = 8
_TIMEOUT_SECONDS = 60
# What would be 5xx in HTTP, besides a deadline of the message's own.
_FAILURES = frozenset(
    {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS}
)

# All but those that the service does not offer, and streams.
METHODS = [
    f"/{_SERVICE.full_name}/{name}"
    for name in (
        *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelConfig"),
        *("ModelStatistics", "ModelInfer", "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
    )
]


@dataclass(slots=True)
class Answered:
    """Answers to mutated messages.

    Attributes:
        codes: How many of each code.
        failed: Messages over which the service failed, each with what it said.
    """

    codes: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[Sent, str]] = field(default_factory=list)


def valid_messages(manifest: Manifest) -> list[Sent]:
    """A message for inference in either form, and one that names the model, as every other method has it."""
    examples = manifest.golden_examples[:2]
    batch = encode(
        [one.event_types for one in examples],
        [one.elapsed_minutes for one in examples],
        Vocabulary(manifest.vocabulary),
        manifest.max_events,
    )
    ids, minutes = batch.event_ids, batch.elapsed_minutes
    raw = service_pb2.ModelInferRequest(model_name=manifest.name, id="7")
    raw.raw_input_contents.extend([ids.astype("<i4").tobytes(), minutes.astype("<f4").tobytes()])
    for name, datatype in (("event_ids", "INT32"), ("elapsed_minutes", "FP32")):
        raw.inputs.add(name=name, datatype=datatype, shape=ids.shape)
    typed = service_pb2.ModelInferRequest(model_name=manifest.name, model_version=str(manifest.version))
    texts = [str(event_type).encode() for event_type in examples[0].event_types]
    shape = [1, len(texts)]
    typed.inputs.add(name="event_types", datatype="BYTES", shape=shape).contents.bytes_contents.extend(texts)
    elapsed = typed.inputs.add(name="elapsed_minutes", datatype="FP64", shape=shape)
    elapsed.contents.fp64_contents.extend(examples[0].elapsed_minutes)
    typed.outputs.add(name="risk")
    named = service_pb2.ModelReadyRequest(name=manifest.name, version=str(manifest.version))
    to_infer = f"/{_SERVICE.full_name}/ModelInfer"
    return [
        *(Sent(to_infer, {}, message.SerializeToString()) for message in (raw, typed)),
        *(Sent(method, {}, named.SerializeToString()) for method in METHODS),
    ]


async def call(address: str, requests: Iterator[Sent]) -> Answered:
    """Send all of them, a few at a time."""
    answered = Answered()
    async with grpc.aio.insecure_channel(address) as channel:

        async def work() -> None:
            # Of one iterator: each takes what no other has taken.
            for sent in requests:
                try:
                    await channel.unary_unary(sent.path)(sent.body, timeout=_TIMEOUT_SECONDS)
                except grpc.aio.AioRpcError as refusal:
                    code, told = refusal.code(), f"{refusal.code().name} {refusal.details()}"
                    answered.codes[code.name] += 1
                    if code in _FAILURES:
                        answered.failed.append((sent, told))
                else:
                    answered.codes["OK"] += 1

        await asyncio.gather(*(work() for _ in range(_NUM_AT_ONCE)))
    return answered
