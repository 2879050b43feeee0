import json
import shlex
import signal
import socket
from pathlib import Path

import httpx
import pytest

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
