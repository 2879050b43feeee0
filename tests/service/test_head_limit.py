"""Heads of all sizes and kinds, sent to a real server over a real socket."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from threading import Thread

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from service.head_limit import MAX_HEAD_BYTES, LimitedHead
from service.schemas import ErrorAnswer

LINE = b"POST / HTTP/1.1\r\nHost: here\r\n"


async def count_body(_: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    num_bytes, is_complete = 0, False
    while not is_complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        num_bytes += len(message["body"])
        is_complete = not message["more_body"]
    text = str(num_bytes).encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(count_body, http=LimitedHead, lifespan="off", log_config=None))
    thread = Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=30) as client:
        yield client


def send_in_pieces(client: socket.socket, content: bytes, piece_bytes: int = 1_000) -> None:
    for start in range(0, len(content), piece_bytes):
        client.sendall(content[start : start + piece_bytes])


def rest(client: socket.socket) -> bytes:
    """What the server says until it closes the connection."""
    said = b""
    while received := client.recv(65_536):
        said += received
    return said


def bodies(client: socket.socket, number: int) -> list[int]:
    """The lengths that so many answers tell."""
    said = b""
    while len(found := re.findall(rb"\r\n\r\n(\d+)", said)) < number:
        said += client.recv(65_536)
    return [int(text) for text in found]


@pytest.mark.parametrize(
    "begun",
    [
        LINE + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)),
        LINE + b"X: " + b"y" * 2 * MAX_HEAD_BYTES,
        LINE + b"X" * 2 * MAX_HEAD_BYTES,
        b"POST /" + b"y" * 2 * MAX_HEAD_BYTES,
    ],
    ids=["headers", "value", "name", "path"],
)
def test_a_head_without_an_end_is_refused_in_the_envelope(client: socket.socket, begun: bytes) -> None:
    send_in_pieces(client, begun[: MAX_HEAD_BYTES + 1])

    head, _, content = rest(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert f"content-length: {len(content)}".encode() in head
    envelope = ErrorAnswer.model_validate_json(content, strict=True, extra="forbid")
    assert envelope.code == "head_too_large"
    assert str(MAX_HEAD_BYTES) in json.loads(content)["error"]


def test_a_head_of_the_longest_length_is_taken(client: socket.socket) -> None:
    start, end = LINE + b"X: ", b"\r\nContent-Length: 0\r\n\r\n"

    send_in_pieces(client, start + b"y" * (MAX_HEAD_BYTES - len(start) - len(end)) + end)

    assert bodies(client, 1) == [0]


def test_a_long_body_is_no_head(client: socket.socket) -> None:
    num_bytes = 5 * MAX_HEAD_BYTES
    for _ in range(2):
        send_in_pieces(client, LINE + b"Content-Length: %d\r\n\r\n" % num_bytes + b"x" * num_bytes, 10_000)
        assert bodies(client, 1) == [num_bytes]


def test_a_body_in_chunks_is_no_head(client: socket.socket) -> None:
    chunks = b"".join(b"3e8\r\n" + b"x" * 1_000 + b"\r\n" for _ in range(200))

    send_in_pieces(client, LINE + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", 777)

    assert bodies(client, 1) == [200_000]


def test_requests_behind_each_other_are_no_head(client: socket.socket) -> None:
    request = LINE + b"X: " + b"y" * 1_000 + b"\r\nContent-Length: 3\r\n\r\nabc"
    num_requests = 2 * MAX_HEAD_BYTES // len(request)

    for _ in range(num_requests):
        client.sendall(request)

    assert bodies(client, num_requests) == [3] * num_requests


def test_trailers_without_an_end_end_the_connection(client: socket.socket) -> None:
    client.sendall(LINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")

    # Trailers that come in one read with the body are not counted, so it takes more than the limit.
    with pytest.raises(ConnectionError):
        send_in_pieces(client, b"X: y\r\n" * 1_000_000)


@pytest.mark.parametrize("pause_after", [0, 5, None], ids=["head first", "in the body", "one packet"])
def test_a_proposal_of_http_2_is_answered_as_it_stands_and_its_body_is_no_request(
    client: socket.socket, pause_after: int | None
) -> None:
    """As Java's HTTP client begins."""
    body = b"GET /smuggled HTTP/1.1\r\nHost: here\r\n\r\n"
    proposal = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    head = LINE + proposal + b"Content-Length: %d\r\n\r\n" % len(body)
    first = len(head) + (len(body) if pause_after is None else pause_after)

    client.sendall((head + body)[:first])
    time.sleep(0.05)
    client.sendall((head + body)[first:])
    assert bodies(client, 1) == [len(body)]

    client.sendall(LINE + b"Content-Length: 3\r\nConnection: close\r\n\r\nabc")
    said = rest(client)
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.endswith(b"\r\n\r\n3")


def refused_as_malformed(answer: bytes) -> bool:
    head, _, content = answer.partition(b"\r\n\r\n")
    envelope = ErrorAnswer.model_validate_json(content, strict=True, extra="forbid")
    return head.startswith(b"HTTP/1.1 400 Bad Request\r\n") and envelope.code == "malformed_http"


@pytest.mark.parametrize(
    "request_",
    [
        LINE + b"Content-Length: many\r\n\r\n",
        LINE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        LINE.replace(b"/", b"here", 1) + b"\r\n",
        LINE + b"Transfer-Encoding: chunked\r\n\r\nnone\r\n",
        b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
    ids=["length", "lengths", "path", "chunk", "tunnel", "tls"],
)
def test_what_is_no_http_is_refused_in_the_envelope(client: socket.socket, request_: bytes) -> None:
    client.sendall(request_)

    assert refused_as_malformed(rest(client))


def test_what_is_no_http_behind_a_request_leaves_that_its_answer(client: socket.socket) -> None:
    client.sendall(LINE + b"Content-Length: 3\r\n\r\nabc" + b"\x00" * 10)

    said = rest(client)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(b"\r\n\r\n3")


def test_a_broken_body_behind_a_request_is_refused_behind_its_answer(client: socket.socket) -> None:
    client.sendall(
        LINE + b"Content-Length: 3\r\n\r\nabc" + LINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\nnone\r\n"
    )

    _, first, second = rest(client).split(b"HTTP/1.1 ")
    assert first.endswith(b"\r\n\r\n3")
    assert refused_as_malformed(b"HTTP/1.1 " + second)
