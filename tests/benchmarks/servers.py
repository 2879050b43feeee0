"""Servers under test, each in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter, sleep

import httpx

ROOT = Path(__file__).parents[2]

_POLL_SECONDS = 0.05


class NeverReadyError(RuntimeError):
    """A server ended, or took too long, before it answered."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers.

    Attributes:
        url: Where.
        pid: Of its process.
        start_seconds: From its start to its first answer.
    """

    url: str
    pid: int
    start_seconds: float

    @property
    def resident_bytes(self) -> int:
        """Memory of the process and of all it started."""
        return sum(_resident_bytes(pid) for pid in _family(self.pid))


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    port: int,
    ready: str | httpx.Request,
    directory: Path = ROOT,
    timeout_seconds: float = 180,
) -> Iterator[Running]:
    """Run `command` until the block ends; the block begins when the server answers `ready` with 2xx.

    Args:
        command: What to run.
        environment: Added to this process' own.
        port: Where it will listen on 127.0.0.1.
        ready: A path to GET, or a whole request.
        directory: Where to run it.
        timeout_seconds: How long to wait for it.

    Raises:
        NeverReadyError: It never answered.
    """
    url = f"http://127.0.0.1:{port}"
    started_at = perf_counter()
    process = subprocess.Popen(
        command, cwd=directory, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        request = httpx.Request("GET", url + ready) if isinstance(ready, str) else ready
        _wait(process, request, monotonic() + timeout_seconds)
        yield Running(url, process.pid, perf_counter() - started_at)
    finally:
        _end(process)


@contextmanager
def service(repository: Path, **settings: str | float | Path) -> Iterator[Running]:
    """Our own service on `repository`; settings are SEQRISK_<NAME>. At its end no traffic has to move on."""
    port = free_port()
    settings = {"drain_grace_seconds": 0, **settings}
    environment = {f"SEQRISK_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"SEQRISK_REPOSITORY": str(repository), "SEQRISK_PORT": str(port)}
    command = [sys.executable, "-m", "service", "serve"]
    with running(command, environment=environment, port=port, ready="/readyz") as server:
        yield server


def _wait(process: subprocess.Popen[bytes], request: httpx.Request, deadline: float) -> None:
    with httpx.Client(timeout=5) as client:
        while monotonic() < deadline:
            if process.poll() is not None:
                raise NeverReadyError(f"Expected {process.args!r} to serve. Received: exit code {process.returncode}.")
            try:
                if client.send(request).is_success:
                    return
            except httpx.TransportError:
                pass
            sleep(_POLL_SECONDS)
    raise NeverReadyError(f"Expected {process.args!r} to answer {request.url}. Received: no success in time.")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _family(pid: int) -> list[int]:
    """A process and everything it started, by Linux' own records."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in children for descendant in _family(int(child)))]


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
