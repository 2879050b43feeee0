"""Large bodies, read in a process of their own: the one who reads JSON holds the interpreter, whatever its thread.

Reader    hands bodies to the process and takes histories back; started as `python -m service.reader`
"""

import asyncio
import logging
import pickle
import struct
import sys
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO, TypeVar, cast

from service.errors import ServiceError, UnexpectedError
from service.histories import Rules
from service.score_request import Histories, read_score_request

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_LENGTH = struct.Struct("!Q")


class Reader:
    """A process that reads large bodies one after the other; it starts with the first and ends with its owner."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._is_free = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, once it runs."""
        return None if self._process is None else self._process.pid

    async def read(self, body: bytes, rules: Rules, max_sequences: int, now: datetime) -> Histories:
        """As `read_score_request`, elsewhere."""
        return await self.call(read_score_request, body, rules, max_sequences, now)

    async def call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """Call `function` elsewhere.

        Args:
            function: Of a module, so that its name says all; what it answers can be pickled.
            *arguments: Can be pickled.

        Raises:
            ServiceError: As `function`; or the process has died over it.
        """
        await self._is_free.acquire()
        # Whoever stops waiting leaves an answer in the pipe, which must be taken out before the next one asks.
        exchange = asyncio.create_task(self._exchange((function, *arguments)))
        exchange.add_done_callback(lambda _: self._is_free.release())
        answer = await asyncio.shield(exchange)
        # In a thread, which takes turns with the event loop: unpacking takes a fraction of reading.
        unpacked: Answer | ServiceError = await asyncio.to_thread(_unpack, answer)
        try:
            if isinstance(unpacked, UnexpectedError):
                # Here, where lines have their form, the request its id, and keys are blotted out.
                logger.error("A large body could not be read.\n%s", "\n".join(getattr(unpacked, "__notes__", ())))
            if isinstance(unpacked, ServiceError):
                raise unpacked
            return unpacked
        finally:
            # What is raised knows the frames it passes, and a body in one of them: in a cycle they would stay.
            del unpacked

    async def close(self) -> None:
        """End the process; whoever still waits for it is told that it has died."""
        await self._end()
        # It may have been about to start.
        async with self._is_free:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _exchange(self, arguments: tuple[object, ...]) -> bytes:
        try:
            process = await self._running()
            questions = cast("asyncio.StreamWriter", process.stdin)
            answers = cast("asyncio.StreamReader", process.stdout)
            question = pickle.dumps(arguments)
            questions.write(_LENGTH.pack(len(question)))
            questions.write(question)
            await questions.drain()
            (num_bytes,) = _LENGTH.unpack(await answers.readexactly(_LENGTH.size))
            return await answers.readexactly(num_bytes)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            logger.warning("The process that reads large bodies has died; the next large body starts another.")
            await self._end()
            raise UnexpectedError(
                "Expected to read the body. Received: the end of the process that reads it."
            ) from error

    async def _running(self) -> Process:
        if self._process is None:
            # A session of its own: a terminal's Ctrl-C is for the service, which still has answers to give.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "service.reader", stdin=PIPE, stdout=PIPE, start_new_session=True
            )
        return self._process


def _unpack(answer: bytes) -> Any:  # noqa: ANN401  whatever the function answers
    return pickle.loads(answer)  # noqa: S301  our own process packed it


def serve_pipe(questions: BinaryIO, answers: BinaryIO) -> None:
    """The process' life: read bodies until the owner is gone."""
    while length := questions.read(_LENGTH.size):
        function, *arguments = pickle.loads(questions.read(*_LENGTH.unpack(length)))  # noqa: S301  as above
        try:
            answer: object = function(*arguments)
        except ServiceError as error:
            answer = error
        except Exception:
            answer = UnexpectedError()
            answer.add_note(traceback.format_exc())
        packed = pickle.dumps(answer)
        answers.write(_LENGTH.pack(len(packed)))
        answers.write(packed)
        answers.flush()


if __name__ == "__main__":
    serve_pipe(sys.stdin.buffer, sys.stdout.buffer)
