"""The server's end, with an application that answers after a while: signals need a process of their own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from service.server import ECHO_SECONDS, EXIT_SIGNALLED

PROGRAM = """
import asyncio, os, socket, sys
from service.lifecycle import Lifecycle
from service.server import Server
from service.settings import Settings

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        print("stopped with", "time" if lifecycle.left_seconds > 0 else "nothing", "left", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("came", flush=True)
    await asyncio.sleep(float(scope["path"][1:]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"1" if lifecycle.is_stopping else b"0"})

grace, timeout, is_ready = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "ready"
lifecycle = Lifecycle()
settings = Settings(drain_grace_seconds=grace, drain_timeout_seconds=timeout)
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
asyncio.run(Server(app, settings, lifecycle, is_ready=lambda: is_ready).serve(sockets=[listener]))
"""

Start = Callable[..., "Process"]


class Process:
    """The program above, its address known."""

    def __init__(self, output: Path, grace: float, timeout: float, readiness: str) -> None:
        self._output = output
        with output.open("wb") as stdout:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(grace), str(timeout), readiness],
                cwd=Path(__file__).parents[2],
                stdout=stdout,
            )
        port = self.expect(r"port (\d+)")
        self.url = f"http://127.0.0.1:{port}"

    def expect(self, pattern: str) -> str:
        """The first group of `pattern` in what it prints; waits for that."""
        for _ in range(3000):
            if found := re.search(pattern, self._output.read_text()):
                return found[1]
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} in {self._output.read_text()!r}")

    def ask(self, seconds: float) -> "Asked":
        """Begin a request that takes `seconds`, and wait until it has come."""
        asked = Asked(f"{self.url}/{seconds}")
        self.expect("(came)")
        return asked

    def tell(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def exit_code(self) -> int:
        return self._process.wait(60)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


class Asked:
    """A request under way."""

    def __init__(self, url: str) -> None:
        self._answer: httpx.Response | None = None
        self._thread = threading.Thread(target=self._ask, args=(url,))
        self._thread.start()

    def _ask(self, url: str) -> None:
        with suppress(httpx.TransportError):
            self._answer = httpx.get(url, timeout=60)

    def answer(self) -> httpx.Response | None:
        """What came back; None if the connection broke."""
        self._thread.join(60)
        return self._answer


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def start(*, grace: float = 0, timeout: float = 30, readiness: str = "ready") -> Process:
        started.append(Process(tmp_path / "output", grace, timeout, readiness))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_answered_before_the_end(start: Start, number: signal.Signals) -> None:
    process = start()
    asked = process.ask(seconds=0.5)

    process.tell(number)

    answer = asked.answer()
    assert answer is not None
    assert answer.status_code == 200
    assert process.exit_code() == 0
    process.expect("(stopped with time left)")


def test_new_requests_are_answered_during_the_grace(start: Start) -> None:
    process = start(grace=60)
    process.ask(seconds=0).answer()

    process.tell(signal.SIGTERM)
    stopping = (httpx.get(f"{process.url}/0", timeout=60) for _ in range(1000))

    assert next(answer for answer in stopping if answer.text == "1").status_code == 200


@pytest.mark.parametrize(("number", "readiness"), [(signal.SIGINT, "ready"), (signal.SIGTERM, "loading")])
def test_there_is_no_grace_for_a_person_or_while_nobody_is_sent_here(
    start: Start, number: signal.Signals, readiness: str
) -> None:
    process = start(grace=3600, readiness=readiness)
    process.ask(seconds=0).answer()

    process.tell(number)

    assert process.exit_code() == 0


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    process = start(grace=3600)
    asked = process.ask(seconds=50)

    process.tell(signal.SIGTERM)
    while httpx.get(f"{process.url}/0", timeout=60).text != "1":
        pass
    time.sleep(ECHO_SECONDS)
    process.tell(signal.SIGTERM)

    assert process.exit_code() == EXIT_SIGNALLED + signal.SIGTERM
    assert asked.answer() is None


def test_another_signal_ends_it_without_waiting(start: Start) -> None:
    process = start(grace=3600)
    process.ask(seconds=0).answer()

    process.tell(signal.SIGTERM)
    while httpx.get(f"{process.url}/0", timeout=60).text != "1":
        pass
    process.tell(signal.SIGINT)

    assert process.exit_code() == EXIT_SIGNALLED + signal.SIGINT


def test_the_echo_of_a_signal_is_no_second_one(start: Start) -> None:
    """A signal to a process group comes twice if the parent passes its own on."""
    process = start(grace=0)
    asked = process.ask(seconds=2)

    process.tell(signal.SIGTERM)
    time.sleep(ECHO_SECONDS / 10)
    process.tell(signal.SIGTERM)

    assert process.exit_code() == 0
    assert asked.answer() is not None


def test_a_request_that_takes_longer_than_the_limit_does_not_hold_up_the_end(start: Start) -> None:
    process = start(timeout=1)
    asked = process.ask(seconds=50)

    process.tell(signal.SIGTERM)

    assert process.exit_code() == 0
    process.expect("(stopped with nothing left)")
    asked.answer()
