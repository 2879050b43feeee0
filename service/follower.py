"""The follower: it keeps the versions that answer as settings and repository want them."""

import asyncio
import logging
import math
import threading
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from models.manifest import ManifestError
from models.repository import DigestError
from service.artifact_fault import ArtifactFaultError
from service.capacity import num_cores
from service.challenger import Challenger
from service.live_model import LiveModel
from service.loading import beside_traffic, load
from service.metrics import Metrics
from service.niceness import BESIDE_TRAFFIC, at_niceness
from service.settings import Settings, SettingsError
from service.source import Source
from service.versions import ModelStatus, Versions, VersionStatus

if TYPE_CHECKING:
    from service.engine import Programs

logger = logging.getLogger(__name__)


class Follower:
    """Follows the repository: a thread of its own looks for versions and loads them, while others answer.

    A fault of an artifact leaves the process up, the reason readable, and whatever answered answering. Only that thread
    writes the attributes; any may read them.

    Args:
        settings: Which versions, on which device.
        metrics: Where loading and batches are counted.

    Attributes:
        champion: The version that answers, once there is one.
        challenger: The version compared with it, while it is loaded.
        loading: What is being loaded, if anything is.
        status: The served model.
        versions: What is known of every version.
        fatal: Why settings can never work (no such model, version or device; several models and none chosen). It is
            there before the status turns to failed, and whoever started the process is to end it with that sentence.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.fatal: SettingsError | None = None
        self.champion: LiveModel | None = None
        self.challenger: Challenger | None = None
        self.loading: VersionStatus | None = None
        self.status = ModelStatus(settings.model, None, "loading", "Loading has not begun.", None)
        self.versions = Versions(settings.version, settings.challenger_version)
        self._settings = settings
        self._metrics = metrics
        self._programs: Programs = {}
        self._source: Source | None = None
        self._leaving: LiveModel | Challenger | None = None
        self._stopping = threading.Event()
        metrics.challenger_rank_correlation.set(math.nan)
        metrics.challenger_ready.set_function(lambda: self.challenger is not None)

    async def start(self) -> None:
        """Begin to load; returns at once."""
        self._loop = asyncio.get_running_loop()
        # A daemon: an import or a compilation under way must not hold up the end of the process.
        threading.Thread(target=self._follow, name="load", daemon=True).start()

    async def stop(self) -> None:
        """Give up loading, answer every accepted request and accept no more."""
        self._stopping.set()
        for one in (self._leaving, self.challenger, self.champion):
            if one is not None:
                await one.drain()

    def _follow(self) -> None:
        """The thread's life."""
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception as error:
                if self._stopping.is_set():
                    return
                # Beside a champion nothing is fatal: a device that was there may come back.
                if isinstance(error, SettingsError) and self.champion is None:
                    self.fatal = error
                    self._fail(error)
                    return
                logger.exception("A look at the repository failed.")
                self._metrics.repository_failures.inc()
                self._fail(error)
            if not self._settings.poll_seconds:
                return
            self._stopping.wait(self._settings.poll_seconds)

    def _look(self) -> None:
        """Look at the repository once, and do what has to be done."""
        if self._source is None:
            self._report("Looking for the model.")
            self._source = Source(self._settings)
            self.status = replace(self.status, name=self._source.name)
        self.versions.update(self._source.versions(), self._source.fingerprint)
        self._metrics.model_newest_refused_version.set(self.versions.newest_refused)
        try:
            self._renew_champion(self._source)
        finally:
            # A newest version that cannot be fetched must not keep the challenger from coming or going.
            challenger = self._settings.challenger_version
            if self.champion is not None and challenger is not None:
                self._renew_challenger(self._source, challenger, self.champion.manifest.version)
        answering = (self.champion, None if self.challenger is None else self.challenger.model)
        self._source.prune(self.versions.kept(model.manifest.version for model in answering if model is not None))

    def _renew_champion(self, source: Source) -> None:
        champion = self.champion
        current = None if champion is None else champion.manifest.version
        wanted = self.versions.wanted(current)
        if wanted is None or wanted == current:
            return
        started_at = perf_counter()
        cores, slots = num_cores(), self._settings.slots
        # While requests are answered, compiling leaves them the other cores. Who sets the slots knows what the process
        # may use, where the machine's cores are not all its own.
        compile_threads = min(cores, (slots or cores) + 1) if champion is None else 1
        new = self._load(source, wanted, self._settings, compile_threads)
        if new is not None:
            self._go_live(new, perf_counter() - started_at)

    def _renew_challenger(self, source: Source, version: int, champion: int) -> None:
        challenger = self.challenger
        if challenger is not None and (version == champion or version not in self.versions.available):
            self.challenger = None
            self._let_go(challenger)
            reason = "is the champion now" if version == champion else "has left the repository"
            logger.info("The challenger, version %d, %s.", version, reason)
        # A champion is not compared with itself.
        elif challenger is None and version != champion and self.versions.may_load(version):
            model = self._load(source, version, self._settings.model_copy(update={"slots": 1}), 1)
            if model is not None:
                try:
                    self.challenger = Challenger(model, self._settings, self._metrics)
                except RuntimeError:
                    # The system has no more threads; the slots of the model would wait for ever.
                    self._let_go(model)
                    raise
                logger.info("Version %d is the challenger.", version)

    def _load(self, source: Source, version: int, settings: Settings, compile_threads: int) -> LiveModel | None:
        """A version, verified and warm; None if it is refused."""
        # Before anything is read: what changes from here on is worth another attempt.
        fingerprint = source.fingerprint(version)
        self.loading = VersionStatus(version, "loading", "")
        with beside_traffic():
            try:
                return self._open_and_load(source, version, settings, compile_threads)
            # Whatever else goes wrong (a network, memory, threads, a device) says nothing about the version: the next
            # look tries it again.
            except (ManifestError, DigestError, ArtifactFaultError) as error:
                self._refuse(version, error, fingerprint)
                return None
            finally:
                self.loading = None

    def _open_and_load(self, source: Source, version: int, settings: Settings, compile_threads: int) -> LiveModel:
        self._report("Fetching the artifact and verifying its digests.")
        if self.champion is None:
            self.status = replace(self.status, version=version, manifest=None)
        niceness = 0 if self.champion is None else BESIDE_TRAFFIC
        artifact = at_niceness(niceness, lambda: source.open(version))
        if self.champion is None:
            self.status = replace(self.status, manifest=artifact.manifest)
        return load(
            artifact,
            settings,
            self._metrics,
            self._report,
            programs=self._programs,
            compile_threads=compile_threads,
            niceness=niceness,
        )

    def _report(self, reason: str) -> None:
        if self._stopping.is_set():
            raise _StoppedError
        if self.loading is not None:
            self.loading = replace(self.loading, reason=reason)
        if self.champion is None:
            self.status = replace(self.status, state="loading", reason=reason)

    def _refuse(self, version: int, error: Exception, fingerprint: str) -> None:
        logger.error("Version %d is refused.", version, exc_info=error)
        self.versions.refuse(version, _reason(error), fingerprint)
        self._metrics.model_loads.labels("refused").inc()
        self._metrics.model_newest_refused_version.set(self.versions.newest_refused)
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Say why nothing answers, if nothing does."""
        if self.champion is None:
            self.status = replace(self.status, state="failed", reason=_reason(error))
            logger.error("Not ready: %s", _reason(error))

    def _go_live(self, new: LiveModel, load_seconds: float) -> None:
        former, self.champion = self.champion, new
        manifest = new.manifest
        self.status = ModelStatus(manifest.name, manifest.version, "ready", "", manifest)
        self._metrics.model_loads.labels("live").inc()
        self._metrics.model_info.labels(manifest.name, str(manifest.version)).set(1)
        self._metrics.model_load_seconds.set(load_seconds)
        self._metrics.model_ready.set(1)
        logger.info("Ready: %s version %d, after %.1f s.", manifest.name, manifest.version, load_seconds)
        if former is not None:
            self._metrics.model_swaps.inc()
            self._metrics.model_info.remove(manifest.name, str(former.manifest.version))
            if self.challenger is not None:
                self.challenger.agreement.forget()
            self._let_go(former)

    def _let_go(self, former: LiveModel | Challenger) -> None:
        """Wait until nobody needs it any more."""
        self._leaving = former
        asyncio.run_coroutine_threadsafe(former.drain(), self._loop).result()
        self._leaving = None


class _StoppedError(Exception):
    """Nobody waits for the model any more."""


def _reason(error: Exception) -> str:
    # A file's name in it may be no UTF-8.
    return str(error).encode(errors="backslashreplace").decode() or type(error).__name__
