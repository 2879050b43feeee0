"""The line-up: the served version, loaded, verified and warm before it answers anything.

ModelStatus    what can be told about the served model at any moment
LiveModel      one version, ready to score
LineUp         the champion, loaded in the background
"""

import gc
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

from models.manifest import Manifest
from models.repository import ArtifactNotFoundError, Repository
from models.sequences import EncodedBatch, Vocabulary
from service.batcher import Batcher, BatchReport, Scores
from service.buckets import Buckets
from service.errors import NotReadyError
from service.golden import verify
from service.metrics import Metrics
from service.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What can be told about the served model at one moment.

    Attributes:
        name: Its name, once known.
        version: Its version, once known.
        state: `ready` means verified and warm.
        reason: What is being done, or what went wrong; empty when ready.
        manifest: Its manifest, once its files are verified.
    """

    name: str | None
    version: int | None
    state: Literal["loading", "ready", "failed"]
    reason: str
    manifest: Manifest | None


class LiveModel:
    """One version, loaded, verified and warm.

    Args:
        manifest: Its manifest.
        vocabulary: The manifest's.
        batcher: Scores with it.
    """

    def __init__(self, manifest: Manifest, vocabulary: Vocabulary, batcher: Batcher) -> None:
        self.manifest = manifest
        self.vocabulary = vocabulary
        self._batcher = batcher

    async def score(self, batch: EncodedBatch, deadline: float | None) -> Scores:
        """Score encoded histories; arguments and errors are those of `Batcher.score`."""
        return await self._batcher.score(batch, deadline)

    async def drain(self) -> None:
        """Answer what was accepted, accept nothing more."""
        await self._batcher.drain()


class LineUp:
    """The served model. It is loaded in a thread of its own, so that probes are answered meanwhile.

    A fault of the artifact leaves the process up and not ready, its reason readable. Settings that can never work
    (no such model, version or device; several models and none chosen) are kept in `fatal` before the status turns to
    failed, and whoever started the process is to end it with that sentence.

    Args:
        settings: Which model, on which device.
        metrics: Where loading and batches are counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.fatal: SettingsError | None = None
        self._settings = settings
        self._metrics = metrics
        self._champion: LiveModel | None = None
        self._is_stopping = False
        self._status = ModelStatus(settings.model, None, "loading", "Loading has not begun.", None)

    @property
    def name(self) -> str | None:
        """Name of the served model, once known."""
        return self._status.name

    def status(self) -> ModelStatus:
        """The served model at this moment."""
        return self._status

    def champion(self) -> LiveModel:
        """The version that answers.

        Raises:
            NotReadyError: It is being loaded or could not be; the message says which, and why.
        """
        champion = self._champion
        if champion is None:
            status = self._status
            raise NotReadyError(f"Expected a verified and warm model. Received: {status.state}. {status.reason}")
        return champion

    async def start(self) -> None:
        """Begin to load; returns at once."""
        # A daemon: an import or a compilation under way must not hold up the end of the process.
        threading.Thread(target=self._load, name="load", daemon=True).start()

    async def stop(self) -> None:
        """Give up loading, or answer every accepted request and accept no more."""
        self._is_stopping = True
        if self._champion is not None:
            await self._champion.drain()

    def _load(self) -> None:
        started_at = perf_counter()
        try:
            champion = self._load_champion()
        except _StoppedError:
            return
        except SettingsError as error:
            self.fatal = error
            self._fail(error)
        except Exception as error:
            logger.exception("The model could not be loaded.")
            self._fail(error)
        else:
            self._go_live(champion, perf_counter() - started_at)

    def _load_champion(self) -> LiveModel:
        repository = Repository(self._settings.repository, self._settings.cache_directory)
        self._report(f"Looking for the model in {repository.url}.")
        name = self._choose_name(repository)
        version = None if self._settings.version == "latest" else self._settings.version
        self._status = replace(self._status, name=name, version=version)

        self._report("Fetching the artifact and verifying its digests.")
        try:
            artifact = repository.open(name, version)
        except ArtifactNotFoundError as error:
            raise SettingsError(f"Wrong settings: SEQRISK_MODEL or SEQRISK_VERSION: {error}") from error
        self._status = replace(self._status, version=artifact.manifest.version, manifest=artifact.manifest)
        return load(artifact.directory, artifact.manifest, self._settings, self._metrics, self._report)

    def _choose_name(self, repository: Repository) -> str:
        if self._settings.model is not None:
            return self._settings.model
        names = repository.names()
        if len(names) != 1:
            raise SettingsError(
                f"Wrong settings: SEQRISK_MODEL: Expected the name of a model, or a repository with exactly one. "
                f"Received: no name, and {', '.join(names) or 'no model'} in {repository.url}."
            )
        return names[0]

    def _report(self, reason: str) -> None:
        if self._is_stopping:
            raise _StoppedError
        self._status = replace(self._status, reason=reason)

    def _fail(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        self._status = replace(self._status, state="failed", reason=reason)
        logger.error("Not ready, and will not be: %s", reason)

    def _go_live(self, champion: LiveModel, load_seconds: float) -> None:
        # All of TensorFlow's objects stay for good: a collector that walks them would stall requests by 0.2 s.
        gc.collect()
        gc.freeze()
        manifest = champion.manifest
        self._metrics.model_info.labels(manifest.name, str(manifest.version)).set(1)
        self._metrics.model_load_seconds.set(load_seconds)
        self._metrics.model_ready.set(1)
        self._champion = champion
        self._status = replace(self._status, state="ready", reason="")
        logger.info("Ready: %s version %d, after %.1f s.", manifest.name, manifest.version, load_seconds)


class _StoppedError(Exception):
    """Nobody waits for the model any more."""


def load(directory: Path, manifest: Manifest, settings: Settings, metrics: Metrics, report: Report) -> LiveModel:
    """Make an artifact answer: compile every bucket, prove the golden examples, give it its slots.

    Args:
        directory: The artifact, its digests verified.
        manifest: The artifact's.
        settings: Device, slots and limits.
        metrics: Where compilations and batches are counted.
        report: Called from any thread with what is being done; what it raises ends the loading.

    Raises:
        DeviceError: The device asked for is not there.
        SignatureError: The artifact does not answer as the contract says.
        GoldenExampleError: It answers something else here than where it was made.
    """
    report("Importing TensorFlow.")
    from service.engine import Engine  # noqa: PLC0415  seconds of import, so only in the thread that loads

    report("Loading the graph and its weights.")
    buckets = Buckets.for_model(manifest.max_events, settings.max_batch)
    slots = settings.slots or os.cpu_count() or 1
    engine = Engine(
        directory,
        device=settings.device,
        buckets=buckets,
        slots=slots,
        compile_cache_directory=settings.compile_cache_directory,
        on_compile=metrics.compiles.inc,
    )
    engine.warm_up(lambda num_warm: report(f"Compiling: {num_warm} of {len(buckets)} buckets are ready."))

    report("Comparing the golden examples.")
    vocabulary = Vocabulary(manifest.vocabulary)
    verify(engine.run, manifest, vocabulary, buckets)

    def observe(call: BatchReport) -> None:
        metrics.batch_sequences.observe(call.rows)
        metrics.batch_padding_ratio.observe(call.padding_ratio)

    batcher = Batcher(
        engine.run,
        buckets=buckets,
        slots=slots,
        max_waiting_sequences=settings.max_waiting_sequences,
        observe=observe,
    )
    return LiveModel(manifest, vocabulary, batcher)
