import json
import os
import shlex
import signal
import socket
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from service import __main__ as main
from service.__main__ import commands
from service.keys import KeyRing, read_keys
from service.lineup import LineUp
from tests.service.conftest import STOP_SECONDS, Service, StartService


def test_the_curl_line_it_prints_works_as_it_stands(service: Service) -> None:
    program, silent, url, data, body = shlex.split(service.expect_output(r"\n(curl .*)\n"))

    assert (program, silent, data) == ("curl", "-s", "-d")
    # As curl sends it: a form, by its header.
    answer = httpx.post(url, content=body, headers={"content-type": "application/x-www-form-urlencoded"}, timeout=60)
    assert answer.status_code == 200
    assert answer.json()["scores"][0]["events_used"] == len(json.loads(body)["sequences"][0]["event_types"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_while_the_model_loads(
    start_service: StartService, repository: Path, number: signal.Signals
) -> None:
    service = start_service(SEQRISK_REPOSITORY=str(repository))
    service.address()

    assert service.stop(number) == 0
    assert "Traceback" not in service.errors.read_text()


def test_a_wrong_setting_stops_it_by_name(start_service: StartService) -> None:
    service = start_service(SEQRISK_MAX_BATCH="many")

    assert service.process.wait(STOP_SECONDS) == 2
    assert "SEQRISK_MAX_BATCH" in service.errors.read_text()
    assert "Traceback" not in service.errors.read_text()


def test_a_taken_port_stops_it_with_a_sentence(start_service: StartService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = start_service(SEQRISK_PORT=str(taken.getsockname()[1]))

        assert service.process.wait(STOP_SECONDS) == 1
    assert "SEQRISK_PORT" in service.errors.read_text()
    assert "Traceback" not in service.errors.read_text()


def test_a_model_that_is_not_there_stops_it_by_name(start_service: StartService, repository: Path) -> None:
    service = start_service(SEQRISK_REPOSITORY=str(repository), SEQRISK_MODEL="other")

    assert service.process.wait(STOP_SECONDS) == 2
    assert "SEQRISK_MODEL" in service.errors.read_text()
    assert "Traceback" not in service.errors.read_text()


def test_a_gpu_that_is_not_there_stops_it_by_name(start_service: StartService, repository: Path) -> None:
    service = start_service(SEQRISK_REPOSITORY=str(repository), SEQRISK_DEVICE="gpu", CUDA_VISIBLE_DEVICES="-1")

    assert service.process.wait(4 * STOP_SECONDS) == 2
    assert "SEQRISK_DEVICE" in service.errors.read_text()
    assert "Traceback" not in service.errors.read_text()


def test_a_file_of_keys_that_is_broken_stops_it_by_name(
    start_service: StartService, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "keys.toml").write_text('team = { sha256 = "secret" }')
    service = start_service(SEQRISK_REPOSITORY=str(repository), SEQRISK_API_KEYS_FILE=str(tmp_path / "keys.toml"))

    assert service.process.wait(STOP_SECONDS) == 2
    assert "SEQRISK_API_KEYS_FILE" in service.errors.read_text()
    assert "team.sha256" in service.errors.read_text()
    assert "secret" not in service.errors.read_text()
    assert "Traceback" not in service.errors.read_text()


def test_a_service_that_cannot_start_says_so_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(_: LineUp) -> None:
        raise RuntimeError("no room")

    left: list[int] = []
    monkeypatch.setattr(LineUp, "start", start)
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(main, "configure_logging", lambda *_: None)
    monkeypatch.setattr(main, "_MORE_LISTENERS", 0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(main, "_listen", lambda *_: listener)

        main.serve()

    assert left == [1]


def test_a_new_key_is_shown_once_beside_the_line_that_lets_it_in() -> None:
    printed = CliRunner().invoke(commands, ["keys", "new", "fraud-team"])
    key = printed.stderr.split()[-1]

    assert key not in printed.stdout
    assert KeyRing(read_keys(printed.stdout.encode())).find(key.encode()) == "fraud-team"


def test_a_key_is_not_made_for_a_name_that_the_file_could_not_hold() -> None:
    printed = CliRunner().invoke(commands, ["keys", "new", "a b"])

    assert printed.exit_code == 2
    assert "'a b'" in printed.stderr
