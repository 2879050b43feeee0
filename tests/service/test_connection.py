"""What a client sees of one connection, packet by packet, of a real server."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from service.connection import _LINGER_SECONDS, Connection

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


async def answer(scope: Scope, _: Receive, send: Send) -> None:
    """Two bytes, or as many pieces as the path says; lets the loop turn before each. A body is never read."""
    if scope["path"] == "/refuse":
        headers = [(b"content-length", b"2"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})
        return
    pieces = [b"ok"] if scope["path"] == "/" else [b"piece"] * int(scope["path"][1:])
    length = str(sum(map(len, pieces))).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    for number, piece in enumerate(pieces, start=1):
        await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})


@contextmanager
def connected() -> Iterator[socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(answer, http=Connection, lifespan="off", log_config=None))
    thread = Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def read_until(client: socket.socket, end: bytes) -> bytes:
    answer = b""
    while not answer.endswith(end):
        answer += client.recv(65_536)
    return answer


def test_head_and_body_come_together() -> None:
    with connected() as client:
        client.sendall(GET)
        packet = client.recv(65_536)

    assert packet.startswith(b"HTTP/1.1 200 OK\r\n")
    assert packet.endswith(b"\r\n\r\nok")


def test_later_pieces_come_as_they_are_sent() -> None:
    with connected() as client:
        client.sendall(GET.replace(b"/ ", b"/3 ", 1))
        packets = [client.recv(65_536) for _ in range(3)]

    assert packets[0].endswith(b"\r\n\r\npiece")
    assert packets[1:] == [b"piece", b"piece"]


def test_an_answer_without_a_body_does_not_wait_for_one() -> None:
    with connected() as client:
        client.sendall(GET.replace(b"GET", b"HEAD"))
        head = read_until(client, b"\r\n\r\n")
        client.sendall(GET)
        whole = read_until(client, b"ok")

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert whole.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("num_requests", [2, 5])
def test_pipelined_requests_are_answered_in_order(num_requests: int) -> None:
    with connected() as client:
        client.sendall(b"".join(GET.replace(b"/ ", b"/%d " % number, 1) for number in range(1, num_requests + 1)))
        seen = b""
        while seen.count(b"piece") < sum(range(1, num_requests + 1)):
            seen += client.recv(65_536)

    answers = [part.count(b"piece") for part in seen.split(b"HTTP/1.1 200 OK")[1:]]
    assert answers == list(range(1, num_requests + 1))


def test_a_request_that_expects_it_is_told_to_continue_first() -> None:
    with connected() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        client.sendall(b"{}")
        seen = read_until(client, b"ok")

    assert seen.endswith(b"ok")


def test_who_is_refused_while_still_sending_gets_the_answer() -> None:
    body = bytes(20_000_000)
    with connected() as client:
        client.sendall(b"POST /refuse HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body))
        # Refused by now; a connection that is reset would fail the next send, or the read.
        time.sleep(0.1)
        client.sendall(body)
        seen = b""
        while packet := client.recv(65_536):
            seen += packet

    assert seen.startswith(b"HTTP/1.1 413")
    assert seen.endswith(b"\r\n\r\nno")


def test_who_is_refused_and_sends_no_more_is_told_of_the_end_at_once() -> None:
    with connected() as client:
        client.sendall(b"POST /refuse HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nbegun")
        client.settimeout(_LINGER_SECONDS - 1)
        seen = b""
        while packet := client.recv(65_536):
            seen += packet

    assert seen.endswith(b"\r\n\r\nno")


def test_who_sends_on_after_a_broken_body_gets_one_answer(caplog: pytest.LogCaptureFixture) -> None:
    with connected() as client:
        client.sendall(b"POST /40 HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n")
        seen = read_until(client, b"}")
        for _ in range(3):
            client.sendall(b"none\r\n")
            time.sleep(0.05)
        client.shutdown(socket.SHUT_WR)
        while packet := client.recv(65_536):
            seen += packet

    assert seen.startswith(b"HTTP/1.1 400 ")
    assert seen.count(b"HTTP/1.1 ") == 1
    assert not [record for record in caplog.records if record.exc_info]
