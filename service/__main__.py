"""The command line: `python -m service serve`, and `keys new` for whoever is to use it."""

import asyncio
import gc
import json
import os
import re
import shlex
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
import uvicorn
import uvloop

from models.manifest import Manifest
from service.app import create_app
from service.arenas import share_arenas
from service.attributes import attributes_of
from service.keys import NAME_PATTERN, line_of, new_key
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.logs import configure_logging
from service.metrics import Metrics
from service.server import Server
from service.settings import Settings, SettingsError
from service.tls import Tls

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from service.tracing import Traced

EXIT_FAILED = 1
EXIT_WRONG_SETTINGS = 2

# Lists and the like that may come to be before a collection. A body is a thousand of them and no cycle: with Python's
# own 700, a busy service spent 7 % of its time on collections that found nothing, up to 20 ms at once.
_COLLECTED_OBJECTS = 10_000

_POLL_SECONDS = 0.1
_MORE_LISTENERS = 15

commands = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
key_commands = typer.Typer(no_args_is_help=True, help="Keys for the file that SEQRISK_API_KEYS_FILE names.")
commands.add_typer(key_commands, name="keys")


@commands.callback()
def service() -> None:
    """Score event sequences over HTTP."""


@commands.command()
def serve() -> None:
    """Serve a published model until SIGINT or SIGTERM; settings come from SEQRISK_* (see service/README.md)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_on_signal)
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        _leave(EXIT_WRONG_SETTINGS, str(error))
    configure_logging(settings.log_level, settings.log_format)
    gc.set_threshold(_COLLECTED_OBJECTS)
    share_arenas()
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        wanted = f"{settings.host}:{settings.port}"
        _leave(EXIT_FAILED, f"Cannot listen on {wanted} (SEQRISK_HOST, SEQRISK_PORT): {error.strerror}.")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            has_started = runner.run(_serve(settings, listener))
    except SettingsError as error:
        _leave(EXIT_WRONG_SETTINGS, str(error))
    sys.stdout.flush()
    # A thread that imports TensorFlow or compiles cannot be interrupted, and a normal exit would wait for it.
    os._exit(0 if has_started else EXIT_FAILED)


@key_commands.command("new")
def make_key(name: Annotated[str, typer.Argument(help="Who is to have it; metrics and log call it so.")]) -> None:
    """Print the line for the file of keys, and beside it, on standard error, the key itself: once."""
    if not re.match(NAME_PATTERN, name):
        _leave(
            EXIT_WRONG_SETTINGS,
            f"Expected 1 to 40 letters, digits, `-` or `_`, a letter or digit first. Received: {name!r}.",
        )
    key = new_key()
    print(line_of(name, key))
    sys.stdout.flush()
    print(f"The key of {name}, shown this once: {key}", file=sys.stderr)


async def _serve(settings: Settings, listener: socket.socket) -> bool:
    """Serve until told to stop, or until loading shows that the settings cannot work.

    Returns:
        Whether the application could start; if not, the server has logged why.

    Raises:
        SettingsError: They cannot.
    """
    metrics, lifecycle = Metrics(), Lifecycle()
    lineup = LineUp(settings, metrics)
    tls = Tls.of(settings)
    app = create_app(settings, lineup, metrics, lifecycle, tls)
    traced = None if settings.tracing_endpoint is None else _traced(app, settings.tracing_endpoint)
    server = Server(
        traced or app,
        settings,
        lifecycle,
        is_ready=lambda: lineup.status().state == "ready",
        tls=None if tls is None else tls.context,
    )
    address = _address(listener, "http" if tls is None else "https")
    documentation = f" (documentation: {address}/docs)" if settings.docs else ""
    print(f"Serving on {address}{documentation}. Loading the model …", flush=True)
    announcement = asyncio.create_task(_announce(lineup, server, address, needs_key=settings.api_keys_file is not None))
    # uvloop accepts one connection a round on each socket it listens on; a crowd would wait for seconds to be refused.
    with suppress(SystemExit):
        # Which is how the server leaves where the application could not start.
        await server.serve(sockets=[listener, *(listener.dup() for _ in range(_MORE_LISTENERS))])
    announcement.cancel()
    if traced is not None:
        traced.close()
    if lineup.fatal is not None:
        raise lineup.fatal
    return server.started


def _traced(app: "ASGIApp", endpoint: str) -> "Traced":
    try:
        from service.tracing import Traced  # noqa: PLC0415  an extra, and nobody else pays for it
    except ImportError as error:
        raise SettingsError(
            "Wrong settings: SEQRISK_TRACING_ENDPOINT: Expected OpenTelemetry, which comes with the extra `tracing`. "
            f"Received: {error}. Install it (`pip install '.[tracing]'`), or leave the variable out."
        ) from error
    return Traced(app, endpoint)


async def _announce(lineup: LineUp, server: uvicorn.Server, address: str, *, needs_key: bool) -> None:
    """Say on the terminal when the model answers; stop the server if it never will."""
    # The line-up loads in a thread and tells anyone who asks.
    said = ""
    while (status := lineup.status()).state != "ready" and lineup.fatal is None:
        if status.reason != said and sys.stdout.isatty():
            said = status.reason
            print(f"  {said}", flush=True)
        await asyncio.sleep(_POLL_SECONDS)
    if lineup.fatal is not None:
        server.should_exit = True
        return
    manifest = lineup.champion().manifest
    curl = _curl(manifest, address, needs_key=needs_key)
    print(f"{manifest.name} version {manifest.version} is ready. Try:\n{curl}", flush=True)


def _curl(manifest: Manifest, address: str, *, needs_key: bool) -> str:
    """A shell command that scores one of the model's own examples."""
    example = manifest.golden_examples[0]
    sequence: dict[str, object] = {
        "event_types": example.event_types,
        "elapsed_minutes": example.elapsed_minutes,
        **attributes_of(example.further),
    }
    body = json.dumps({"sequences": [sequence]}, ensure_ascii=False)
    key = ' -H "X-API-Key: $KEY"' if needs_key else ""
    return f"curl -s {address}/v1/score{key} -d {shlex.quote(body)}"


def _listen(host: str, port: int) -> socket.socket:
    family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server((host, port), family=family, backlog=2048)


def _address(listener: socket.socket, scheme: str) -> str:
    host, port, *_ = listener.getsockname()
    return f"{scheme}://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{scheme}://{host}:{port}"


def _leave_on_signal(_: int, __: FrameType | None) -> NoReturn:
    """Before the server takes signals over nothing can be lost."""
    os._exit(0)


def _leave(exit_code: int, sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(exit_code)


if __name__ == "__main__":
    commands()
