"""Requests for a real Triton and for our service alike, by what is to come of them.

requests_for   all of them
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import islice

from models.manifest import Manifest
from tests.benchmarks import traffic
from tests.clients.sent import HEADER_LENGTH, Cases, Outcome, Sent, Writer
from tests.clients.triton_refusals import refused


def requests_for(manifest: Manifest) -> list[Sent]:
    """All requests."""
    write = Writer(manifest)
    kinds = (_same, _otherwise, _about_itself, _only_triton, _only_ours, refused)
    return [sent for kind in kinds for sent in kind(write)]


def _same(write: Writer) -> Iterator[Sent]:
    """Valid requests for scores."""
    outcome = Outcome.SAME
    draw = traffic.sequences(write.manifest, seed=4)
    for num_rows in (1, 2, 3, 16, 64, 128):
        ids, minutes = write.encoded(list(islice(draw, num_rows)))
        yield write.json(f"{num_rows} rows of mixed lengths, flat", outcome, write.request(ids, minutes))
        yield write.binary(f"{num_rows} rows of mixed lengths, binary both ways", outcome, ids, minutes)
    for length in (1, 2, 7, write.manifest.max_events):
        ids, minutes = write.encoded(list(islice(traffic.sequences(write.manifest, 5, length), 2)))
        yield write.json(f"{length} events, flat", outcome, write.request(ids, minutes))
        yield write.json(f"{length} events, nested", outcome, write.request(ids, minutes, is_nested=True))
    cases: Cases = {
        "an id": {"id": "INC1"},
        "an empty id": {"id": ""},
        "an id beyond ASCII": {"id": "Störung 1 ✓"},
        "no parameters": {"parameters": {}},
        "own parameters": {"parameters": {"team": "A", "attempt": 1, "is_test": True}},
        "a priority": {"parameters": {"priority": 1}},
        "a timeout": {"parameters": {"timeout": 10_000_000}},
        "a sequence, which this model does not know": {"parameters": {"sequence_id": 5, "sequence_start": True}},
        "one output": {"outputs": [{"name": "risk"}]},
        "outputs in another order": {"outputs": [{"name": "auxiliary_risk"}, {"name": "risk"}]},
        "an empty list of outputs": {"outputs": []},
        "output parameters null": {"outputs": [{"name": "risk", "parameters": None}]},
        "outputs in binary": {"parameters": {"binary_data_output": True}},
        "one output in binary": {"outputs": [{"name": "risk", "parameters": {"binary_data": True}}]},
        "one output in binary, the other not": {
            "outputs": [{"name": "risk", "parameters": {"binary_data": True}}, {"name": "auxiliary_risk"}]
        },
        "an output's own flag against the request's": {
            "parameters": {"binary_data_output": True},
            "outputs": [
                {"name": "risk", "parameters": {"binary_data": False}},
                {"name": "auxiliary_risk", "parameters": {"binary_data": True}},
            ],
        },
        "fields that mean nothing": {"model_name": "x", "anything": [1]},
    }
    for name, changes in cases.items():
        yield write.json(name, outcome, write.plain(**changes))
    of_inputs: Cases = {
        "minutes as integers": {"data": [447, 441, 0, 9, 0, 0]},
        "minutes with exponents": {"data": [4.47e2, 4.41e2, 0.0, 9.5e-3, 0.0, 0.0]},
        "anything in padded minutes": {"data": [447, 441, 0, 9.5, 0, 1e30]},
        "input parameters null": {"parameters": None},
        "input parameters that mean nothing": {"parameters": {"content_type": "np"}},
    }
    for name, changes in of_inputs.items():
        yield write.json(name, outcome, write.changed(1, **changes))
    yield write.json("inputs in another order", outcome, {"inputs": write.plain()["inputs"][::-1]})
    yield write.json("event types, flat", outcome, write.typed())
    yield write.json("event types, nested", outcome, write.typed(is_nested=True))
    yield write.binary("event types, binary", outcome, write.types, write.minutes)
    yield write.binary("ids, binary in and JSON out", outcome, write.ids, write.minutes, is_out=False)
    yield write.binary("one input in binary", outcome, write.ids, None)
    plain = json.dumps(write.plain()).encode()
    for name, body, headers in (
        ("gzip", gzip.compress(plain), {"Content-Encoding": "gzip"}),
        ("deflate", zlib.compress(plain), {"Content-Encoding": "deflate"}),
        ("compressed answers are welcome", plain, {"Accept-Encoding": "gzip, deflate"}),
        ("no content type", plain, {}),
        ("a content type of something else", plain, {"Content-Type": "text/plain"}),
        ("a header for binary input without any", plain, {HEADER_LENGTH: str(len(plain))}),
        ("space after the JSON", plain + b" \n", {}),
    ):
        yield Sent(name, outcome, f"{write.model}/infer", body, headers)
    yield Sent("a version", outcome, f"{write.model}/versions/{write.manifest.version}/infer", plain)


def _otherwise(write: Writer) -> Iterator[Sent]:
    """Valid requests for scores whose answers may differ in form."""
    outcome = Outcome.OTHERWISE
    asked = write.plain(outputs=[{"name": "risk"}], parameters={"binary_data_output": True})
    yield write.json("outputs in binary, and one listed without a flag of its own", outcome, asked)
    twice = json.dumps(write.plain()).encode().replace(b"{", b'{"id": "a", "id": "b", ', 1)
    yield Sent("an id twice", outcome, f"{write.model}/infer", twice)


def _about_itself(write: Writer) -> Iterator[Sent]:
    """What each tells of itself."""
    outcome = Outcome.FIELDS
    paths = (
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        write.model,
        f"{write.model}/ready",
        f"{write.model}/config",
        f"{write.model}/stats",
        "/v2/models/stats",
        *(f"{write.model}/versions/{write.manifest.version}{end}" for end in ("", "/ready", "/config", "/stats")),
    )
    for path in paths:
        yield Sent("", outcome, path)
    for name, body in (("no body", b""), ("{}", b"{}"), ("ready", b'{"ready":true}')):
        yield Sent(name, outcome, "/v2/repository/index", body)


def _only_triton(write: Writer) -> Iterator[Sent]:
    """What would be no score, or one that means something else."""
    outcome = Outcome.ONLY_TRITON
    for name, position, changes in (
        ("NaN minutes", 1, {"data": [float("nan"), 441, 0, 9.5, 0, 0]}),
        ("minutes beyond float32", 1, {"data": [1e39, 441, 0, 9.5, 0, 0]}),
        ("negative minutes", 1, {"data": [447, 441, -1, 9.5, 0, 0]}),
        ("increasing minutes", 1, {"data": [1, 441, 0, 9.5, 0, 0]}),
        ("minutes beyond the model's range", 1, {"data": [1e8, 441, 0, 9.5, 0, 0]}),
        ("a last event that is not the scoring moment", 1, {"data": [447, 441, 3, 9.5, 0, 0]}),
        ("a negative id", 0, {"data": [-1, 3, 4, 5, 1, 0]}),
        ("an id beyond INT32", 0, {"data": [2**40, 3, 4, 5, 1, 0]}),
        ("padding between events", 0, {"data": [2, 0, 4, 5, 1, 0]}),
        ("a row of padding alone", 0, {"data": [2, 3, 4, 0, 0, 0]}),
        ("elements nested in rows of one", 0, {"data": [[[2], [3], [4]], [[5], [1], [0]]]}),
        ("elements nested in another shape", 0, {"data": [[2, 3], [4, 5], [1, 0]]}),
    ):
        yield write.json(name, outcome, write.changed(position, **changes))
    twice, classes = [{"name": "risk"}] * 2, [{"name": "risk", "parameters": {"classification": 1}}]
    yield write.json("an output twice (Triton answers it once)", outcome, write.plain(outputs=twice))
    yield write.json("an output as classes", outcome, write.plain(outputs=classes))
    plain = json.dumps(write.plain()).encode()
    yield Sent("a byte order mark", outcome, f"{write.model}/infer", b"\xef\xbb\xbf" + plain)


def _only_ours(write: Writer) -> Iterator[Sent]:
    """What other clients send."""
    outcome = Outcome.ONLY_OURS
    for name, position, other in (
        ("ids as INT64", 0, {"datatype": "INT64"}),
        ("minutes as FP64", 1, {"datatype": "FP64"}),
    ):
        yield write.json(name, outcome, write.changed(position, **other))
    cases: Cases = {
        "an id that is null": {"id": None},
        "parameters null": {"parameters": None},
        "outputs null": {"outputs": None},
        "a parameter that is null": {"parameters": {"team": None}},
        "a parameter with a name of Triton's": {"parameters": {"triton_x": 1}},
    }
    for name, changes in cases.items():
        yield write.json(name, outcome, write.plain(**changes))
    yield Sent("", outcome, "/v2/")
