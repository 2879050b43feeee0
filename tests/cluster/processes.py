"""The processes of a cluster: started in order, ended in the opposite one, each with a log."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Self

_END_SECONDS = 20
_POLL_SECONDS = 0.25
_LAST_LINES = 15


class EndedError(RuntimeError):
    """A process ended, or something took too long; the message has the end of a log."""


class Processes:
    """What has been started and is to be ended.

    Args:
        logs: Directory of the logs.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started = list[tuple[str, subprocess.Popen[bytes]]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        for _, process in reversed(self._started):
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str, command: Sequence[str | Path]) -> int:
        """Start `command`, whose output goes to <name>.log; its process id."""
        with (self._logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT)
        self._started.append((name, process))
        return process.pid

    def wait_for(self, name: str, command: Sequence[str | Path], seconds: float) -> None:
        """Wait until `command` succeeds, which shows that the process `name` is at work.

        Raises:
            EndedError: It did not within `seconds`.
        """
        until = monotonic() + seconds
        while subprocess.run([str(part) for part in command], check=False, capture_output=True).returncode:
            ended = [other for other, process in self._started if process.poll() is not None]
            if ended or monotonic() > until:
                lines = (self._logs / f"{(ended or [name])[0]}.log").read_text(errors="replace").splitlines()
                raise EndedError(
                    f"Expected {name} at work within {seconds:g} s. Ended: {ended or 'nothing'}. Its log ends:\n"
                    + "\n".join(lines[-_LAST_LINES:])
                )
            sleep(_POLL_SECONDS)
