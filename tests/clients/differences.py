"""What two servers answered to the same request, and in what the answers differ.

Answered      both answers to one request
write_page    a page of all differences
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.clients.sent import Outcome, Sent

TOLERANCE = 1e-6

_HEADER_LENGTH = "Inference-Header-Content-Length"
_MOST_SHOWN = 150


@dataclass(frozen=True)
class Answered:
    """Both answers to one request.

    Attributes:
        sent: What was asked.
        theirs: The other server's answer.
        ours: Our own.
    """

    sent: Sent
    theirs: httpx.Response
    ours: httpx.Response

    @property
    def is_as_expected(self) -> bool:
        """Whether the request came to what it was to come to."""
        expected = {
            Outcome.SAME: (True, True),
            Outcome.OTHERWISE: (True, True),
            Outcome.FIELDS: (True, True),
            Outcome.REFUSED: (False, False),
            Outcome.ONLY_TRITON: (True, False),
            Outcome.ONLY_OURS: (False, True),
        }[self.sent.outcome]
        if (self.theirs.is_success, self.ours.is_success) != expected or self.ours.is_server_error:
            return False
        match self.sent.outcome:
            case Outcome.SAME:
                return not self.differences and self.largest_difference <= TOLERANCE
            case Outcome.FIELDS:
                return not any(difference.startswith("other type") for difference in self.differences)
            case Outcome.OTHERWISE:
                return bool(self.differences)
        return self.ours.is_success or isinstance(self.ours.json()["error"], str)

    @cached_property
    def differences(self) -> list[str]:
        """In what two successes differ, besides numbers; our service gives an id where none was sent."""
        if not (self.theirs.is_success and self.ours.is_success):
            return []
        theirs, ours = _content(self.theirs), _content(self.ours)
        if self.sent.outcome is not Outcome.FIELDS and "id" not in theirs:
            ours.pop("id")
        if theirs is None:
            return [f"Triton's body is empty; seqrisk's is `{self.ours.text}`"]
        kinds = [answer.headers["content-type"] for answer in (self.theirs, self.ours)]
        return [
            *([f"other content: `{kinds[0]}` and `{kinds[1]}`"] if kinds[0] != kinds[1] else []),
            *_compare("", theirs, ours, are_values_equal=self.sent.outcome is not Outcome.FIELDS),
        ]

    @cached_property
    def largest_difference(self) -> float:
        """Between two numbers of the outputs."""
        if self.sent.outcome is not Outcome.SAME or self.differences:
            return 0.0
        theirs, ours = _content(self.theirs)["outputs"], _content(self.ours)["outputs"]
        return max(float(np.abs(np.subtract(theirs[name]["data"], ours[name]["data"])).max()) for name in theirs)

    def told(self, answer: httpx.Response) -> str:
        """Status and text of an answer, in short."""
        text = "scores" if answer.is_success and "outputs" in answer.text else answer.text
        if not answer.is_success:
            try:
                text = answer.json()["error"]
            except ValueError:
                text = answer.text or "(nothing)"
        text = " ".join(text.split())
        shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} …"
        return f"{answer.status_code} {shown}".strip()


def write_page(path: Path, other: str, seen: Sequence[Answered]) -> None:
    """Write what differs."""
    by_outcome = {outcome: [one for one in seen if one.sent.outcome is outcome] for outcome in Outcome}
    same = by_outcome[Outcome.SAME]
    largest = max(one.largest_difference for one in same)
    lines = [
        f"# {other} and seqrisk, asked the same",
        "",
        f"Written by `make triton-differential`: {len(seen)} requests to both, the same artifact behind both.",
        "",
        f"{sum(one.is_as_expected for one in same)} of {len(same)} valid requests for scores get the same",
        f"fields, types, shapes and content types, in JSON or binary, and risks that differ by {largest:.1e} at most.",
        "Where no id is sent, seqrisk gives one. Its outputs come in the order asked for, Triton's in the model's.",
        *_tables(by_outcome),
    ]
    path.write_text("\n".join(lines) + "\n")


def _tables(by_outcome: dict[Outcome, list[Answered]]) -> Iterator[str]:
    for outcome in (Outcome.OTHERWISE, Outcome.FIELDS):
        yield from ("", f"## {outcome[0].upper()}{outcome[1:]}", "", "| request | what differs |", "|---|---|")
        for one in by_outcome[outcome]:
            yield f"| {_call(one.sent)} | {_cell('; '.join(one.differences) or 'nothing')} |"
    for outcome in (Outcome.ONLY_TRITON, Outcome.ONLY_OURS, Outcome.REFUSED):
        yield from ("", f"## {outcome[0].upper()}{outcome[1:]}", "", "| request | Triton | seqrisk |", "|---|---|---|")
        for one in by_outcome[outcome]:
            yield f"| {_call(one.sent)} | {_cell(one.told(one.theirs))} | {_cell(one.told(one.ours))} |"


def _call(sent: Sent) -> str:
    if sent.path.endswith("/infer") and sent.name:
        return _cell(sent.name)
    return f"`{'GET' if sent.body is None else 'POST'} {sent.path}`" + (f", {_cell(sent.name)}" if sent.name else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _content(answer: httpx.Response) -> Any:  # noqa: ANN401  whatever the JSON is
    """The JSON of an answer, outputs by their names; what follows it in binary is put where it belongs."""
    if not answer.content:
        return None
    length = int(answer.headers.get(_HEADER_LENGTH, len(answer.content)))
    content = json.loads(answer.content[:length])
    if not isinstance(content, dict) or "outputs" not in content or "model_name" not in content:
        return content
    start = length
    for output in content["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is not None:
            output["data"] = np.frombuffer(answer.content[start : start + size], "<f4").tolist()
            start += size
    return content | {"outputs": {output["name"]: output for output in content["outputs"]}}


def _compare(place: str, theirs: object, ours: object, *, are_values_equal: bool) -> Iterator[str]:
    """In what two JSON values differ; without `are_values_equal`, only in their fields and types."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for names, whose in ((theirs.keys() - ours.keys(), "Triton"), (ours.keys() - theirs.keys(), "seqrisk")):
            if names:
                listed = ", ".join(f"`{place}{name}`" for name in sorted(names))
                yield f"only {whose}: {listed}"
        for name in sorted(theirs.keys() & ours.keys()):
            yield from _compare(f"{place}{name}.", theirs[name], ours[name], are_values_equal=are_values_equal)
    elif isinstance(theirs, list) and isinstance(ours, list):
        if are_values_equal and len(theirs) != len(ours):
            yield f"`{place[:-1]}`: {len(theirs)} and {len(ours)} elements"
        elif theirs and ours:
            yield from _compare(f"{place[:-1]}[].", theirs[0], ours[0], are_values_equal=are_values_equal)
    elif type(theirs) is not type(ours):
        yield f"other type: `{place[:-1]}` is {json.dumps(theirs)} and {json.dumps(ours)}"
    elif are_values_equal and theirs != ours and not isinstance(theirs, float):
        yield f"`{place[:-1]}` is {json.dumps(theirs)} and {json.dumps(ours)}"
