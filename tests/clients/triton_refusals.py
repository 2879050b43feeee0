"""Requests that a real Triton and our service refuse alike, each in its own words."""

import json
from collections.abc import Iterator

from tests.clients.sent import ABSENT, HEADER_LENGTH, Cases, Outcome, Sent, Writer


def refused(write: Writer) -> Iterator[Sent]:
    """Requests that both refuse."""
    outcome = Outcome.REFUSED
    cases: Cases = {
        "an id that is a number": {"id": 5},
        "parameters in an array": {"parameters": []},
        "a timeout in a string": {"parameters": {"timeout": "10"}},
        "a negative timeout": {"parameters": {"timeout": -1}},
        "`binary_data_output` in a string": {"parameters": {"binary_data_output": "true"}},
        "an unknown output": {"outputs": [{"name": "zzz"}]},
        "an output without a name": {"outputs": [{}]},
        "an output that is a string": {"outputs": ["risk"]},
        "an output in shared memory": {
            "outputs": [{"name": "risk", "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 8}}]
        },
        "no inputs": {"inputs": []},
        "inputs in an object": {"inputs": {}},
        "inputs null": {"inputs": None},
        "an input that is a string": {"inputs": ["event_ids"]},
        "an input missing": {"inputs": write.plain()["inputs"][:1]},
    }
    for name, changes in cases.items():
        yield write.json(name, outcome, write.plain(**changes))
    of_inputs: Cases = {
        "a float as an id": {"data": [2.0, 3, 4, 5, 1, 0]},
        "a string as an id": {"data": ["2", 3, 4, 5, 1, 0]},
        "a boolean as an id": {"data": [True, 3, 4, 5, 1, 0]},
        "null as an id": {"data": [None, 3, 4, 5, 1, 0]},
        "an id beyond the vocabulary": {"data": [99_999, 3, 4, 5, 1, 0]},
        "too few elements": {"data": [2]},
        "too many elements": {"data": [2] * 7},
        "ragged rows": {"data": [[2, 3, 4], [5, 1]]},
        "data null": {"data": None},
        "data in a string": {"data": "x"},
        "no data": {"data": ABSENT},
        "data and a binary size": {"parameters": {"binary_data_size": 24}},
        "another datatype": {"datatype": "UINT32"},
        "a datatype in lower case": {"datatype": "int32"},
        "no datatype": {"datatype": ABSENT},
        "no shape": {"shape": ABSENT},
        "a shape of strings": {"shape": ["2", 3]},
        "a negative size": {"shape": [-2, 3]},
        "a size of 0": {"shape": [0, 3], "data": []},
        "a shape of one axis": {"shape": [6]},
        "a shape of three axes": {"shape": [1, 2, 3]},
        "no name": {"name": ABSENT},
        "an unknown input": {"name": "zzz"},
        "shared memory": {
            "data": ABSENT,
            "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 24},
        },
    }
    for name, changes in of_inputs.items():
        yield write.json(name, outcome, write.changed(0, **changes))
    strings = {"data": ["447", 441, 0, 9.5, 0, 0]}
    yield write.json("a string as minutes", outcome, write.changed(1, **strings))
    twice = write.changed(1, name="event_ids", datatype="INT32", data=[2] * 6)
    yield write.json("an input twice", outcome, twice)
    yield from _refused_bytes(write)
    for path in (
        "/v2/nowhere",
        "/v2/models/nope",
        "/v2/models/nope/ready",
        "/v2/models/nope/config",
        "/v2/models/nope/stats",
        f"{write.model}/versions/99",
        f"{write.model}/versions/99/ready",
        f"{write.model}/versions/x",
        f"{write.model}/infer",
    ):
        yield Sent("", outcome, path)
    plain = json.dumps(write.plain()).encode()
    for path in ("/v2", "/v2/health/live", "/v2/models/nope/infer", f"{write.model}/versions/99/infer"):
        yield Sent("", outcome, path, plain)
    yield Sent("not JSON", outcome, "/v2/repository/index", b"{")
    yield Sent("", outcome, "/v2/repository/models/nope/load", b"{}")


def _refused_bytes(write: Writer) -> Iterator[Sent]:
    outcome, path = Outcome.REFUSED, f"{write.model}/infer"
    plain, binary = json.dumps(write.plain()).encode(), write.binary("", outcome, write.ids, write.minutes)
    behind = binary.body or b""
    length = binary.headers[HEADER_LENGTH]
    for name, body, headers in (
        ("an empty body", b"", {}),
        ("JSON cut short", plain[:-1], {}),
        ("an array", b"[]", {}),
        ("null", b"null", {}),
        ("text after the JSON", plain + b"x", {}),
        ("infinite minutes", plain.replace(b"447.0", b"1e400"), {}),
        ("not UTF-8", plain.replace(b"event_ids", b"event\xff_ids"), {}),
        ("a header that is no number", plain, {HEADER_LENGTH: "x"}),
        ("a negative header", plain, {HEADER_LENGTH: "-1"}),
        ("a header beyond the body", plain, {HEADER_LENGTH: str(len(plain) + 1)}),
        ("a header of 0", behind, {HEADER_LENGTH: "0"}),
        ("a header within the JSON", plain, {HEADER_LENGTH: "10"}),
        ("bytes too many", behind + b"?", {HEADER_LENGTH: length}),
        ("bytes too few", behind[:-1], {HEADER_LENGTH: length}),
        ("binary input without a header", behind, {}),
        ("gzip that is none", plain, {"Content-Encoding": "gzip"}),
        ("an encoding nobody knows", plain, {"Content-Encoding": "br"}),
    ):
        yield Sent(name, outcome, path, body, headers)
