"""The service in a process of its own, from its first moment to its last."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx

from tests.benchmarks.servers import ROOT, free_port

START_SECONDS = 180
STOP_SECONDS = 60

_POLL_SECONDS = 0.02


def command_line(description: str | None) -> argparse.ArgumentParser:
    """The command line of a proof, which says at least whose models are served."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repository", type=Path, default=ROOT / "models" / "artifacts")
    return parser


class NeverAnsweredError(RuntimeError):
    """The service ended, or took too long, before it answered."""


@dataclass(frozen=True, slots=True)
class Started:
    """A service that has been started, ready or not."""

    url: str
    process: subprocess.Popen[bytes]

    def wait_for(self, path: str) -> None:
        """Wait until `path` is answered with 200.

        Raises:
            NeverAnsweredError: It never was.
        """
        until = monotonic() + START_SECONDS
        while monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(self.url + path, timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            sleep(_POLL_SECONDS)
        raise NeverAnsweredError(f"Expected {path} to be answered with 200. Received: {self.process.poll()}.")

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the service."""
        os.kill(self.process.pid, number)

    def exit_code(self) -> int:
        """How it ended; waits for that."""
        return self.process.wait(STOP_SECONDS)


@contextmanager
def started(repository: Path, **settings: str | float | Path) -> Iterator[Started]:
    """Start the service on `repository`; settings are SEQRISK_<NAME>. What is left of it at the end is killed."""
    port = free_port()
    settings = {"compile_cache_directory": ROOT / ".cache" / "compiled", **settings}
    environment = {f"SEQRISK_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "serve"],
        cwd=ROOT,
        env={**os.environ, "SEQRISK_REPOSITORY": str(repository), "SEQRISK_PORT": str(port), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Started(f"http://127.0.0.1:{port}", process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def ready(repository: Path, **settings: str | float | Path) -> Iterator[Started]:
    """As `started`, once it is ready."""
    with started(repository, **settings) as service:
        service.wait_for("/readyz")
        yield service
