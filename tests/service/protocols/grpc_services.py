"""Services that answer gRPC, and what they are asked."""

import re
import threading
import time
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from models.repository import Repository
from service.intake import Intake
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.protocols.open_inference_grpc import GrpcServer
from service.reader import Reader
from service.scoring import Scoring
from service.settings import Settings
from tests.service.conftest import STOP_SECONDS, Service
from tests.service.live_models import live_model

EVENT_TYPES = [["Opened/Phone", "New/P3", "New/P3"], ["7", "never seen", ""]]
IDS = [[2, 3, 3], [5, 1, 0]]
MINUTES = [[447.0, 441.0, 0.0], [9.5, 0.0, 0.0]]


def grpc_address(service: Service) -> str:
    """Where it answers gRPC, as its log says."""
    service.address()
    until = time.monotonic() + STOP_SECONDS
    while not (found := re.search(r"gRPC is answered on ([\d.]+), port (\d+)", service.errors.read_text())):
        assert time.monotonic() < until, service.errors.read_text()
        time.sleep(0.02)
    return f"{found[1]}:{found[2]}"


def inputs(*, types: bool = False) -> list[triton.InferInput]:
    if types:
        events = triton.InferInput("event_types", [2, 3], "BYTES")
        events.set_data_from_numpy(np.array(EVENT_TYPES, np.object_))
    else:
        events = triton.InferInput("event_ids", [2, 3], "INT64")
        events.set_data_from_numpy(np.array(IDS, np.int64))
    minutes = triton.InferInput("elapsed_minutes", [2, 3], "FP32")
    minutes.set_data_from_numpy(np.array(MINUTES, np.float32))
    return [events, minutes]


def typed_request() -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name="tiny")
    events = request.inputs.add(name="event_ids", datatype="INT32", shape=[2, 3])
    events.contents.int_contents.extend([*IDS[0], *IDS[1]])
    minutes = request.inputs.add(name="elapsed_minutes", datatype="FP64", shape=[2, 3])
    minutes.contents.fp64_contents.extend([*MINUTES[0], *MINUTES[1]])
    return request


class Held:
    """A service within this process whose model waits to be let go."""

    def __init__(self, repository: Path, reader: Reader | None = None) -> None:
        settings = Settings(model="tiny", grpc_port=0)
        metrics, self.lifecycle = Metrics(), Lifecycle()
        self.lineup, self.num_calls = LineUp(settings, metrics), 0
        self.is_running, self.may_run = threading.Event(), threading.Event()
        manifest = Repository(repository).open("tiny").manifest
        self.model = self.lineup._follower.champion = live_model(manifest, version=1, before=self._hold)
        self.intake = intake = Intake(settings.max_waiting_bytes, settings.max_turn_seconds, lambda: False)
        scoring = Scoring(settings, self.lineup, metrics, intake, reader or Reader())
        self.server = GrpcServer(settings, self.lineup, metrics=metrics, lifecycle=self.lifecycle, scoring=scoring)

    def _hold(self) -> None:
        self.num_calls += 1
        self.is_running.set()
        self.may_run.wait()
