"""Requests made wrong in every way a client, a proxy or an attacker may."""

import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.proofs.requests_in_use import Sent

# A body of this size is read, whatever it says; longer ones are refused unread.
MOST_BYTES = 300_000

# One alone goes furthest.
_NUM_MUTATIONS = (1, 1, 1, 2, 3)
_PLACE = "@here@"
# JSON texts of other types, beyond limits, and such as only lax parsers take.
_ODD_VALUES = (
    *("null", "true", "false", "0", "-1", "1.5", "-0.0", "1e308", "1e999", "-1e999", "1e-400", "NaN", "Infinity"),
    *("2147483648", "9223372036854775808", "18446744073709551616", "1" * 5000, "9" * 4000, "0x10", "01", "1.", "+1"),
    *('""', '"a"', '"1"', '"\\ud800"', '"\\u0000"', '"%s"' % ("x" * 1000), '"2016-03-01T01:36:00Z"', '"2016-02-30"'),
    *("[]", "{}", "[[]]", "[null]", "[1,[2]]", '{"a":1,"a":2}', '{"b64":"AAAA"}', '{"b64":"?"}', '{"":{}}', ""),
    *("[" * 50 + "]" * 50, '{"a":' * 300 + "1" + "}" * 300, "[" * 20_000 + "]" * 20_000, "[" * 20_000),
)
_ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"NaN",
    b"//",
    b"{",
    b"]",
    b'"',
    b",",
    b"\\u",
    b"1e999",
)
_ODD_HEADERS = (
    *(("content-type", value) for value in ("", "text/xml", "application/json; charset=utf-16", "multipart/form-data")),
    *(
        ("content-encoding", value)
        for value in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "identity", "x", "\u00e9")
    ),
    *(("accept", value) for value in ("text/html", "image/png", "application/octet-stream", "*/*;q=x", "\u00e9")),
    *(("accept-encoding", value) for value in ("gzip", "deflate;q=nan", "gzip;q=0")),
    # Not a small number: then 504 is the right answer.
    *(("x-request-timeout-ms", value) for value in ("", "0", "-5", "soon", "1e3", "9" * 30, "\u00b2", "99999")),
    *(
        ("inference-header-content-length", value)
        for value in ("", "0", "1", "-1", "17", "9" * 30, "x", "\u00b3", "1.5")
    ),
    *(("x-request-id", value) for value in ("", "\u00e9", "x" * 5000, "a b")),
    *(("expect", value) for value in ("100-continue",)),
    *(("traceparent", value) for value in ("", "00-0-0-0", "00-" + "f" * 32 + "-" + "f" * 16 + "-01")),
    *(("connection", value) for value in ("close", "upgrade")),
)
_ODD_SEGMENTS = (
    "nope",
    "",
    "..",
    "%00",
    "%ff",
    "\u00e9",
    "0",
    "-1",
    "1",
    "9" * 30,
    "x" * 3000,
    "a:b",
    "latest",
    "champion",
)


def mutated(requests: list[Sent], paths: list[str], seed: int) -> Iterator[Sent]:
    """Mutations without end of `requests`, most of them to their own paths, some to others of `paths`."""
    draw = random.Random(seed)
    while True:
        sent = draw.choice(requests)
        if draw.random() < 0.25:
            sent = replace(sent, path=draw.choice(paths))
        for _ in range(draw.choice(_NUM_MUTATIONS)):
            sent = draw.choice(_MUTATIONS)(sent, draw)
        yield replace(sent, body=sent.body[:MOST_BYTES])


def mutated_messages(requests: list[Sent], paths: list[str], seed: int) -> Iterator[Sent]:
    """The same of messages that are no JSON: mutations of their bytes, and messages of one path to another."""
    draw = random.Random(seed)
    while True:
        sent = draw.choice(requests)
        if draw.random() < 0.25:
            sent = replace(sent, path=draw.choice(paths))
        for _ in range(draw.choice(_NUM_MUTATIONS)):
            sent = draw.choice(_BYTE_MUTATIONS)(sent, draw)
        yield replace(sent, body=sent.body[:MOST_BYTES])


def _with_flipped_bits(sent: Sent, draw: random.Random) -> Sent:
    body = bytearray(sent.body)
    for _ in range(draw.randint(1, 8) if body else 0):
        body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
    return replace(sent, body=bytes(body))


def _cut_short(sent: Sent, draw: random.Random) -> Sent:
    return replace(sent, body=sent.body[: draw.randint(0, len(sent.body))])


def _with_a_slice_again(sent: Sent, draw: random.Random) -> Sent:
    first, last, place = (draw.randint(0, len(sent.body)) for _ in range(3))
    piece = sent.body[min(first, last) : max(first, last)] * draw.choice((1, 2, 50))
    return replace(sent, body=sent.body[:place] + piece + sent.body[place:])


def _with_odd_bytes(sent: Sent, draw: random.Random) -> Sent:
    place = draw.randint(0, len(sent.body))
    return replace(sent, body=sent.body[:place] + draw.choice(_ODD_BYTES) + sent.body[place:])


def _with_an_odd_value(sent: Sent, draw: random.Random) -> Sent:
    """One value of the JSON is another one."""

    def put(parent: Any, key: Any) -> None:  # noqa: ANN401  JSON
        parent[key] = _PLACE

    return _with_changed_tree(sent, draw, put, draw.choice(_ODD_VALUES))


def _with_a_missing_value(sent: Sent, draw: random.Random) -> Sent:
    def remove(parent: Any, key: Any) -> None:  # noqa: ANN401  JSON
        del parent[key]

    return _with_changed_tree(sent, draw, remove)


def _with_a_moved_value(sent: Sent, draw: random.Random) -> Sent:
    """A field has another name, an element comes more than once."""

    def move(parent: Any, key: Any) -> None:  # noqa: ANN401  JSON
        if isinstance(parent, dict):
            parent[draw.choice(("inputs", "instances", "events", "data", "id", "", "x" * 300))] = parent.pop(key)
        else:
            parent[key:key] = [parent[key]] * draw.choice((1, 2, 3000))

    return _with_changed_tree(sent, draw, move)


def _nested(sent: Sent, draw: random.Random) -> Sent:
    depth = draw.choice((1, 10, 200, 1000, 50_000))
    opened, closed = draw.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"inputs":', b"}"), (b'{"sequences":[', b"]}")))
    return replace(sent, body=opened * depth + sent.body + closed * depth)


def _with_odd_headers(sent: Sent, draw: random.Random) -> Sent:
    return replace(sent, headers={**sent.headers, **dict([draw.choice(_ODD_HEADERS)])})


def _compressed(sent: Sent, draw: random.Random) -> Sent:
    """Compressed rightly, cut short, under a wrong name, twice, or small until it is unpacked."""
    encoding, body = draw.choice((("gzip", gzip.compress(sent.body)), ("deflate", zlib.compress(sent.body))))
    match draw.randrange(6):
        case 0:
            body = body[: draw.randint(0, len(body))]
        case 1:
            body = gzip.compress(body)
        case 2:
            encoding = draw.choice(("gzip", "deflate", "br", "GZIP"))
        case 3:
            body += sent.body
        case 4:
            body = gzip.compress(b" " * draw.choice((1_000_000, 50_000_000)), compresslevel=1)
        case _:
            pass
    return replace(sent, headers={**sent.headers, "content-encoding": encoding}, body=body)


def _to_an_odd_path(sent: Sent, draw: random.Random) -> Sent:
    """One segment of the path, or what follows its colon, is another one."""
    parts = re.split(r"([/:])", sent.path)
    place = draw.choice([place for place, part in enumerate(parts) if part not in {"", "/", ":"}] or [0])
    parts[place] = quote(draw.choice(_ODD_SEGMENTS), safe="%:.")
    return replace(sent, path="".join(parts))


def _with_changed_tree(sent: Sent, draw: random.Random, change: Callable[[Any, Any], None], text: str = "") -> Sent:
    """Change one place of the JSON; what is behind it stays, and mostly the header still tells where that begins."""
    name = "Inference-Header-Content-Length"
    end = int(sent.headers[name]) if sent.headers.get(name, "").isdecimal() else len(sent.body)
    try:
        tree = json.loads(sent.body[:end])
    except (ValueError, RecursionError):
        return sent
    places = list(_places(tree))
    if not places:
        return sent
    change(*draw.choice(places))
    head = json.dumps(tree).replace(f'"{_PLACE}"', text).encode()
    headers = {**sent.headers, name: str(len(head))} if name in sent.headers and draw.random() < 0.8 else sent.headers
    return replace(sent, headers=headers, body=head + sent.body[end:])


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  JSON
    """Every container in `tree` with each of its keys or positions."""
    containers = [tree]
    while containers:
        container = containers.pop()
        if isinstance(container, dict | list):
            keys = list(container) if isinstance(container, dict) else range(len(container))
            yield from ((container, key) for key in keys)
            containers.extend(container[key] for key in keys)


_BYTE_MUTATIONS = (_with_flipped_bits, _cut_short, _with_a_slice_again, _with_odd_bytes)
_MUTATIONS = (
    *_BYTE_MUTATIONS,
    # What is still JSON goes further into the service.
    *(_with_an_odd_value, _with_an_odd_value, _with_an_odd_value, _with_a_missing_value, _with_a_moved_value, _nested),
    *(_with_odd_headers, _compressed, _to_an_odd_path),
)
