"""A request for two servers, and who writes it.

Outcome    what is to come of a request
Sent       a request
Writer     writes requests for scores, valid or not
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.sequences import Vocabulary, encode
from tests.benchmarks import traffic

# What is changed of a request or an input, by what is special about it.
Cases = dict[str, dict[str, object]]

HEADER_LENGTH = "Inference-Header-Content-Length"
# Of a field, that it is left out.
ABSENT = object()


class Outcome(StrEnum):
    """What is to come of a request."""

    SAME = "both answer the same"
    OTHERWISE = "both answer, one otherwise"
    FIELDS = "both answer, each about itself"
    REFUSED = "both refuse"
    ONLY_TRITON = "Triton answers, seqrisk refuses"
    ONLY_OURS = "seqrisk answers, Triton refuses"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request.

    Attributes:
        name: What is special about it.
        outcome: What is to come of it.
        path: Where to.
        body: As sent; without one, the method is GET.
        headers: By name.
    """

    name: str
    outcome: Outcome
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Writer:
    """Writes requests: for two histories of three and two events, unless it is told otherwise.

    Args:
        manifest: Of the model that is asked.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.model = f"/v2/models/{manifest.name}"
        self.types = [[*manifest.vocabulary[:3]], [manifest.vocabulary[3], "never seen", ""]]
        self.ids = np.array([[2, 3, 4], [5, 1, 0]], np.int32)
        self.minutes = np.array([[447, 441, 0], [9.5, 0, 0]], np.float32)

    def plain(self, **changes: object) -> dict[str, Any]:
        """The two histories, and what is changed of the request."""
        return self.request(self.ids, self.minutes) | changes

    def changed(self, position: int, **changes: object) -> dict[str, Any]:
        """The two histories, and what is changed of one input."""
        request = self.plain()
        tensor = request["inputs"][position] | changes
        request["inputs"][position] = {key: value for key, value in tensor.items() if value is not ABSENT}
        return request

    def request(
        self, ids: NDArray[np.int32], minutes: NDArray[np.float32], *, is_nested: bool = False
    ) -> dict[str, Any]:
        """Tensors as JSON."""
        return {
            "inputs": [
                _tensor("event_ids", "INT32", ids.shape, (ids if is_nested else ids.ravel()).tolist()),
                _tensor("elapsed_minutes", "FP32", ids.shape, (minutes if is_nested else minutes.ravel()).tolist()),
            ]
        }

    def typed(self, *, is_nested: bool = False) -> dict[str, Any]:
        """The two histories by their event types."""
        flat = [kind for row in self.types for kind in row]
        types = _tensor("event_types", "BYTES", (2, 3), self.types if is_nested else flat)
        return {"inputs": [types, self.plain()["inputs"][1]]}

    def json(self, name: str, outcome: Outcome, request: Mapping[str, Any]) -> Sent:
        """A request whose body is JSON."""
        return Sent(name, outcome, f"{self.model}/infer", json.dumps(request).encode())

    def binary(
        self,
        name: str,
        outcome: Outcome,
        events: NDArray[np.int32] | list[list[str]],
        minutes: NDArray[np.float32] | None,
        *,
        is_out: bool = True,
    ) -> Sent:
        """Tensors behind the JSON; minutes in it if there are none here."""
        if isinstance(events, list):
            texts = [kind.encode() for row in events for kind in row]
            raw = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
            first = _tensor("event_types", "BYTES", (len(events), len(events[0])), raw)
        else:
            raw = events.astype("<i4").tobytes()
            first = _tensor("event_ids", "INT32", events.shape, raw)
        second = self.plain()["inputs"][1]
        if minutes is not None:
            raw += minutes.astype("<f4").tobytes()
            second = _tensor("elapsed_minutes", "FP32", minutes.shape, minutes.astype("<f4").tobytes())
        head = json.dumps({"inputs": [first, second], "parameters": {"binary_data_output": is_out}}).encode()
        return Sent(name, outcome, f"{self.model}/infer", head + raw, {HEADER_LENGTH: str(len(head))})

    def encoded(self, sequences: list[traffic.Sequence]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Sequences of our own protocol as padded arrays."""
        batch = encode(
            [sequence["event_types"] for sequence in sequences],
            [sequence["elapsed_minutes"] for sequence in sequences],
            Vocabulary(self.manifest.vocabulary),
            self.manifest.max_events,
        )
        return batch.event_ids, batch.elapsed_minutes


def _tensor(name: str, datatype: str, shape: tuple[int, ...], elements: list[Any] | bytes) -> dict[str, Any]:
    tensor = {"name": name, "shape": [*shape], "datatype": datatype}
    if isinstance(elements, bytes):
        return tensor | {"parameters": {"binary_data_size": len(elements)}}
    return tensor | {"data": elements}
