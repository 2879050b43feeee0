"""A small real model in a repository of its own, and the service that serves it in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.manifest import Draft, GoldenExample, Histogram, Quantiles, ReferenceStatistics
from models.repository import Repository
from models.sequences import Vocabulary, encode
from tests import drafts

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 60
START_SECONDS = 240

VOCABULARY = ("Opened/Phone", "New/P3", "Assigned/P2", "7")
MAX_EVENTS = 8
EMBEDDING_SIZE = 4
HIDDEN_SIZE = 6
GOLDEN_HISTORIES = (
    (("Opened/Phone", "New/P3", "New/P3"), (447.0, 441.0, 0.0)),
    (("Assigned/P2",), (0.0,)),
    (("7", "never seen", "7"), (9.5, 2.25, 0.0)),
)


@dataclass(frozen=True)
class Service:
    """`python -m service serve` in a process group of its own."""

    process: subprocess.Popen[bytes]
    output: Path
    errors: Path

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def address(self) -> str:
        """Where it listens, as it says itself; waits for that."""
        return self.expect_output(r"Serving on (https?://\S+?)\.? ")

    def expect_output(self, pattern: str) -> str:
        """The first group of `pattern` in what it prints; waits for that."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            is_running = self.is_running
            if found := re.search(pattern, self.output.read_text()):
                return found[1]
            if not is_running:
                break
            time.sleep(0.05)
        raise AssertionError(f"no {pattern!r} in: {self.output.read_text()} {self.errors.read_text()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the group and wait for the exit code."""
        if self.is_running:
            os.killpg(self.process.pid, number)
        return self.process.wait(STOP_SECONDS)


StartService = Callable[..., Service]


def start_in(directory: Path, settings: dict[str, str]) -> Service:
    """A service whose output goes to files in the directory; to be ended by whoever starts it."""
    output, errors = directory / "output", directory / "errors"
    with output.open("wb") as stdout, errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            cwd=ROOT,
            env={
                **os.environ,
                "SEQRISK_PORT": "0",
                "SEQRISK_MAX_BATCH": "4",
                "SEQRISK_DRAIN_GRACE_SECONDS": "0",
                **settings,
            },
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    return Service(process, output, errors)


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts services with settings of their own and ends them with the test."""
    started: list[Service] = []

    def start(**settings: str) -> Service:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(start_in(directory, settings))
        return started[-1]

    yield start
    for service in started:
        if service.is_running:
            service.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def service(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that ask it over HTTP, ready."""
    service = start_in(
        tmp_path_factory.mktemp("service"),
        {
            "SEQRISK_REPOSITORY": str(repository),
            "SEQRISK_MAX_SEQUENCES": "20",
            "SEQRISK_MAX_SEQUENCE_EVENTS": "30",
            "SEQRISK_MAX_BODY_BYTES": "20000",
            "SEQRISK_GRPC_PORT": "0",
        },
    )
    service.expect_output(r"(is ready)")
    yield service
    assert service.stop() == 0
    assert "Traceback" not in service.errors.read_text()


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    """Asks the shared service."""
    with httpx.Client(base_url=service.address(), timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds version 1 of the model `tiny`: embedding and gaps into an LSTM, random weights."""
    root = tmp_path_factory.mktemp("repository")
    _publish_tiny(root, seed=7)
    return root


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 3 of the model `tiny`, with weights of their own: to be put into a test's own repository."""
    root = tmp_path_factory.mktemp("shelf")
    for seed in (7, 8, 9):
        _publish_tiny(root, seed)
    return root / "tiny"


def _publish_tiny(root: Path, seed: int) -> None:
    import tensorflow as tf  # noqa: PLC0415 - seconds that only tests of the whole service pay

    random = np.random.default_rng(seed)

    def weights(*shape: int) -> object:
        return tf.Variable(random.normal(0, 0.5, shape).astype(np.float32))

    model = tf.Module()
    model.embedding = weights(len(VOCABULARY) + 2, EMBEDDING_SIZE)
    model.kernel = weights(EMBEDDING_SIZE + 1 + HIDDEN_SIZE, 4 * HIDDEN_SIZE)
    model.risk = weights(HIDDEN_SIZE, 1)
    model.auxiliary_risk = weights(HIDDEN_SIZE, 1)

    def serve(event_ids, elapsed_minutes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        is_event = event_ids != 0
        gaps = tf.pad(elapsed_minutes[:, :-1] - elapsed_minutes[:, 1:], [[0, 0], [1, 0]])
        gaps = tf.where(is_event, gaps, 0.0)
        inputs = tf.concat([tf.gather(model.embedding, event_ids), tf.math.log1p(gaps)[..., None]], axis=-1)

        def step(position, hidden, cell):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            gates = tf.concat([inputs[:, position], hidden], axis=-1) @ model.kernel
            forget, write, candidate, read = tf.split(gates, 4, axis=-1)
            new_cell = tf.sigmoid(forget) * cell + tf.sigmoid(write) * tf.tanh(candidate)
            new_hidden = tf.sigmoid(read) * tf.tanh(new_cell)
            keep = is_event[:, position, None]
            return position + 1, tf.where(keep, new_hidden, hidden), tf.where(keep, new_cell, cell)

        num_rows, num_steps = tf.unstack(tf.shape(event_ids))
        zeros = tf.zeros([num_rows, HIDDEN_SIZE])
        _, hidden, _ = tf.while_loop(lambda position, *_: position < num_steps, step, (0, zeros, zeros))
        return {
            "risk": tf.sigmoid(hidden @ model.risk)[:, 0],
            "auxiliary_risk": tf.sigmoid(hidden @ model.auxiliary_risk)[:, 0],
        }

    model.serve = tf.function(
        serve,
        input_signature=[
            tf.TensorSpec([None, None], tf.int32, "event_ids"),
            tf.TensorSpec([None, None], tf.float32, "elapsed_minutes"),
        ],
    )
    golden_examples = []
    for event_types, minutes in GOLDEN_HISTORIES:
        batch = encode([event_types], [minutes], Vocabulary(VOCABULARY), MAX_EVENTS)
        answer = model.serve(batch.event_ids, batch.elapsed_minutes)
        golden_examples.append(
            GoldenExample(
                event_types=event_types,
                elapsed_minutes=minutes,
                risk=float(answer["risk"][0]),
                auxiliary_risk=float(answer["auxiliary_risk"][0]),
            )
        )

    published = Repository(root)
    with published.staging("tiny") as staged:
        tf.saved_model.save(model, str(staged), signatures={"serving_default": model.serve})
        published.publish(staged, draft(tuple(golden_examples)))


def draft(golden_examples: tuple[GoldenExample, ...]) -> Draft:
    """What is known of `tiny` before it is published."""
    return drafts.draft(
        name="tiny",
        predicts="nothing: the weights are random",
        vocabulary=VOCABULARY,
        max_events=MAX_EVENTS,
        max_elapsed_minutes=100_000.0,
        reference=ReferenceStatistics(
            event_type_shares=dict.fromkeys(VOCABULARY, 1 / len(VOCABULARY)),
            unknown_share=0.0,
            length_quantiles=Quantiles(levels=(0.0, 0.5, 1.0), values=(1.0, 4.0, 8.0)),
            gap_minutes_quantiles=Quantiles(levels=(0.0, 0.5, 1.0), values=(0.0, 5.0, 500.0)),
            risk_histogram=Histogram(edges=(0.0, 0.5, 1.0), shares=(0.5, 0.5)),
        ),
        golden_examples=golden_examples,
    )
