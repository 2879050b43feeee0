import asyncio
import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from models.manifest import Draft, Manifest
from models.repository import Repository
from service.artifact_fault import ArtifactFaultError
from service.errors import NotReadyError
from service.follower import Follower
from service.lineup import LineUp
from service.metrics import Metrics
from service.niceness import BESIDE_TRAFFIC
from service.score_request import Histories
from service.source import Source
from service.versions import ModelStatus, VersionStatus
from tests.service.lineups import change_golden, encoded, encoded_examples, flip_a_weight, load, settings_for
from tests.service.live_models import live_model


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  the line-up tells nobody
        await asyncio.sleep(0.01)


class Service:
    """A line-up that follows a repository of its own, and clients that ask it without a pause.

    Each answer is compared with the golden examples of the version that it claims to come from.
    """

    def __init__(self, shelf: Path, root: Path, **chosen: str | float) -> None:
        self.metrics = Metrics()
        self.versions_seen: list[int] = []
        self._shelf = shelf
        self._model = root / "tiny"
        self._model.mkdir()
        self._settings = settings_for(root, **{"max_batch": 1, "poll_seconds": 0.02, **chosen})

    async def __aenter__(self) -> Self:
        self.lineup = LineUp(self._settings, self.metrics)
        await self.lineup.start()
        self._clients = [asyncio.create_task(self._ask()) for _ in range(8)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.cancel()
        answers = await asyncio.gather(*self._clients, return_exceptions=True)
        await self.lineup.stop()
        assert {type(answer) for answer in answers} == {asyncio.CancelledError}, answers

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            try:
                pair = self.lineup.pair()
            except NotReadyError:
                continue
            with pair:
                champion = pair.champion
                self.versions_seen.append(champion.manifest.version)
                # As long as a client may take to send its body.
                await asyncio.sleep(0.003)
                scores = await champion.score(encoded_examples(champion), None)
            expected = [example.risk for example in champion.manifest.golden_examples]
            np.testing.assert_allclose(scores.risk, expected, rtol=0, atol=1e-5)

    def publish(self, version: int, tamper: Callable[[Path], None] = lambda _: None) -> None:
        staged = self._model / f".staging-{version}"
        shutil.copytree(self._shelf / str(version), staged)
        tamper(staged)
        staged.rename(self._model / str(version))

    def remove(self, version: int) -> None:
        (self._model / str(version)).rename(self._model / f".removed-{version}")
        shutil.rmtree(self._model / f".removed-{version}")

    def repair(self, version: int) -> None:
        shutil.copytree(self._shelf / str(version), self._model / str(version), dirs_exist_ok=True)

    async def until(self, told: dict[int, str]) -> None:
        """Wait until the versions have these states, then let the clients ask on for a while."""
        while {status.version: status.state for status in self.lineup.versions()} != told:
            for client in self._clients:
                if client.done():
                    client.result()
            await asyncio.sleep(0.01)
        self.versions_seen.clear()
        await asyncio.sleep(0.05)

    def told(self, version: int) -> VersionStatus:
        return next(status for status in self.lineup.versions() if status.version == version)

    def loaded(self) -> list[int]:
        return [model.manifest.version for model in self.lineup.loaded()]

    def sample(self, metric: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"seqrisk_{metric}", labels)


def test_versions_come_and_go_under_load_without_a_failed_or_mixed_answer(shelf: Path, tmp_path: Path) -> None:
    async def follow() -> Service:
        service = Service(shelf, tmp_path)
        service.publish(1)
        async with service:
            await service.until({1: "champion"})
            for version in (2, 3):
                service.publish(version)
                await service.until(dict.fromkeys(range(1, version), "available") | {version: "champion"})
                assert set(service.versions_seen) == {version}
            service.remove(3)
            await service.until({1: "available", 2: "champion"})
            assert set(service.versions_seen) == {2}
            service.publish(3)
            await service.until({1: "available", 2: "available", 3: "champion"})
        return service

    service = asyncio.run(follow())

    assert service.lineup.status().version == 3
    assert service.sample("model_swaps_total") == 4
    assert service.sample("model_loads_total", result="live") == 5
    assert service.sample("model_info", name="tiny", version="3") == 1
    assert service.sample("model_info", name="tiny", version="2") is None
    # Their layers are the same, so one version's programs do for all.
    assert service.sample("compiles_total") == 2


def test_a_version_that_went_leaves_nothing_behind_and_waits_for_no_collector(shelf: Path, tmp_path: Path) -> None:
    async def swap() -> bool:
        service = Service(shelf, tmp_path)
        service.publish(1)
        async with service:
            await service.until({1: "champion"})
            first = weakref.ref(service.lineup.champion())
            engine = weakref.ref(service.lineup.champion()._run.__self__)  # type: ignore[attr-defined]
            gc.disable()
            service.publish(2)
            await service.until({1: "available", 2: "champion"})
            # Slots of a busy machine may take a while to end.
            await until(lambda: first() is None and engine() is None)
            return not gc.isenabled()

    try:
        assert asyncio.run(swap())
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("tamper", "reason"), [(flip_a_weight, "SHA-256"), (change_golden("risk"), "golden example 2 of tiny version 2")]
)
def test_a_bad_version_is_refused_once_and_told_and_the_champion_stays(
    shelf: Path, tmp_path: Path, tamper: Callable[[Path], None], reason: str
) -> None:
    async def offer_a_bad_version() -> Service:
        service = Service(shelf, tmp_path)
        service.publish(1)
        async with service:
            await service.until({1: "champion"})
            service.publish(2, tamper)
            await service.until({1: "champion", 2: "refused"})
            await asyncio.sleep(0.2)
            assert set(service.versions_seen) == {1}
            assert reason in service.told(2).reason
            assert service.sample("model_loads_total", result="refused") == 1
            assert service.sample("model_newest_refused_version") == 2
            assert service.lineup.status().state == "ready"

            service.repair(2)
            await service.until({1: "available", 2: "champion"})
        return service

    service = asyncio.run(offer_a_bad_version())

    assert service.sample("model_newest_refused_version") == 0
    assert service.sample("model_swaps_total") == 1


def test_a_pinned_version_stays_whatever_comes_and_goes(shelf: Path, tmp_path: Path) -> None:
    async def pin() -> Service:
        service = Service(shelf, tmp_path, version=2)
        for version in (1, 2):
            service.publish(version)
        async with service:
            await service.until({1: "available", 2: "champion"})
            service.publish(3)
            service.remove(1)
            await service.until({2: "champion", 3: "available"})
            service.remove(2)
            await service.until({2: "champion", 3: "available"})
            assert set(service.versions_seen) == {2}
        return service

    assert asyncio.run(pin()).sample("model_swaps_total") == 0


def test_a_service_that_starts_on_a_bad_version_is_not_ready_until_the_version_is_gone(
    shelf: Path, tmp_path: Path
) -> None:
    async def start_on_a_bad_version() -> tuple[ModelStatus, ModelStatus]:
        service = Service(shelf, tmp_path)
        service.publish(1)
        service.publish(2, flip_a_weight)
        async with service:
            await service.until({1: "available", 2: "refused"})
            unready = service.lineup.status()
            assert not service.versions_seen
            service.remove(2)
            await service.until({1: "champion"})
            return unready, service.lineup.status()

    unready, ready = asyncio.run(start_on_a_bad_version())

    assert (unready.version, unready.state) == (2, "failed")
    assert "SHA-256" in unready.reason
    assert (ready.version, ready.state, ready.reason) == (1, "ready", "")


def test_a_challenger_is_compared_and_leaves_with_its_version(shelf: Path, tmp_path: Path) -> None:
    async def challenge() -> Service:
        service = Service(shelf, tmp_path, version=1, challenger_version=2, canary_share=1.0)
        service.publish(1)
        async with service:
            await service.until({1: "champion", 2: "refused"})
            assert "no such version" in service.told(2).reason
            service.publish(2, flip_a_weight)
            await service.until({1: "champion", 2: "refused"})
            service.repair(2)
            await service.until({1: "champion", 2: "challenger"})
            assert service.sample("challenger_ready") == 1
            with service.lineup.pair() as pair:
                asked = Histories(None, ["anyone"], [["New/P3"]], [[0.0]])
                (part,) = await pair.score(asked, encoded(pair.champion, 1), None)
            assert part.manifest.version == 2

            service.remove(2)
            await service.until({1: "champion", 2: "refused"})
            with service.lineup.pair() as pair:
                (part,) = await pair.score(asked, encoded(pair.champion, 1), None)
            assert part.manifest.version == 1
        return service

    service = asyncio.run(challenge())

    assert service.sample("challenger_ready") == 0
    assert service.sample("model_swaps_total") == 0


def test_a_challenger_that_becomes_the_champion_is_not_loaded_twice(shelf: Path, tmp_path: Path) -> None:
    async def promote() -> list[list[int]]:
        service = Service(shelf, tmp_path, challenger_version=2)
        loaded = []
        for version in (1, 2):
            service.publish(version)
        async with service:
            await service.until({1: "available", 2: "champion"})
            loaded.append(service.loaded())
            service.publish(3)
            await service.until({1: "available", 2: "challenger", 3: "champion"})
            loaded.append(service.loaded())
            service.remove(3)
            await service.until({1: "available", 2: "champion"})
            await until(lambda: service.sample("challenger_ready") == 0)
            loaded.append(service.loaded())
        return loaded

    assert asyncio.run(promote()) == [[2], [3, 2], [2]]


def test_a_device_that_is_gone_beside_a_champion_does_not_end_the_following(shelf: Path, tmp_path: Path) -> None:
    async def lose_the_device() -> Service:
        service = Service(shelf, tmp_path)
        service.publish(1)
        async with service:
            await service.until({1: "champion"})
            settings = service.lineup._follower._settings
            service.lineup._follower._settings = settings.model_copy(update={"device": "gpu"})
            service.publish(2)
            await until(lambda: service.sample("repository_failures_total") != 0)
            assert service.lineup.status().state == "ready"
            assert service.lineup.fatal is None

            service.lineup._follower._settings = settings
            await service.until({1: "available", 2: "champion"})
        return service

    assert asyncio.run(lose_the_device()).sample("model_loads_total", result="refused") is None


@pytest.mark.parametrize(
    ("error", "told"),
    [(ArtifactFaultError("a graph"), "refused"), (RuntimeError("can't start new thread"), "available")],
)
def test_what_is_no_fault_of_the_artifact_is_counted_and_tried_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("service.follower.load", fail)
    lineup, status = load(settings_for(repository))

    assert (status.state, status.reason) == ("failed", str(error))
    assert [version.state for version in lineup.versions()] == [told]
    num_failures = lineup._follower._metrics.registry.get_sample_value("seqrisk_repository_failures_total")
    assert num_failures == (told == "available")


def test_loading_leaves_the_processor_to_a_champion_that_answers(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    niceness: list[int] = []
    monkeypatch.setattr("service.follower.load", lambda *_, **given: niceness.append(given["niceness"]))
    settings = settings_for(repository)
    follower, source = Follower(settings, Metrics()), Source(settings)

    follower._open_and_load(source, 1, settings, 1)
    follower.champion = live_model(Manifest.read(repository / "tiny" / "1" / "manifest.json"), version=1)
    follower._open_and_load(source, 1, settings, 1)

    assert niceness == [0, BESIDE_TRAFFIC]


def line_up_of(url: str, cache_directory: Path, **chosen: str | float) -> LineUp:
    """A line-up that follows a remote repository."""
    settings = settings_for(cache_directory, max_batch=1, poll_seconds=0.02, **chosen)
    remote = {"repository": url, "cache_directory": cache_directory}
    return LineUp(settings.model_copy(update=remote), Metrics())


def upload(url: str, version: Path) -> None:
    remote = Repository(url)
    with remote.staging("tiny") as staged:
        shutil.copytree(version, staged, dirs_exist_ok=True)
        manifest = Manifest.read(staged / "manifest.json")
        (staged / "manifest.json").unlink()
        remote.publish(staged, Draft(**{name: getattr(manifest, name) for name in Draft.model_fields}))


async def until_champion(lineup: LineUp, version: int) -> None:
    await until(lambda: lineup.versions()[-1:] == [VersionStatus(version, "champion", "")])


def test_a_remote_repository_is_followed_as_well(shelf: Path, tmp_path: Path) -> None:
    async def follow() -> list[VersionStatus]:
        lineup = line_up_of("memory://followed", tmp_path)
        for version in (1, 2):
            upload("memory://followed", shelf / str(version))
            if version == 1:
                await lineup.start()
            await until_champion(lineup, version)
        await lineup.stop()
        return lineup.versions()

    assert asyncio.run(follow()) == [VersionStatus(1, "available", ""), VersionStatus(2, "champion", "")]


def test_downloads_of_versions_that_left_are_removed_but_not_that_of_the_champion(shelf: Path, tmp_path: Path) -> None:
    remote = fsspec.filesystem("memory")

    def downloads() -> set[str]:
        return {path.name for path in (tmp_path / "tiny").glob("*")}

    async def follow() -> tuple[set[str], set[str], int | None]:
        for version in (1, 2):
            upload("memory://pruned", shelf / str(version))
        lineup = line_up_of("memory://pruned", tmp_path, version=1, challenger_version=2)
        await lineup.start()
        await until(lambda: len(lineup.loaded()) == 2)
        both = downloads()
        await lineup.stop()

        lineup = line_up_of("memory://pruned", tmp_path)
        await lineup.start()
        remote.rm("/pruned/tiny/1", recursive=True)
        await until(lambda: lineup.status().state == "ready" and downloads() == {"2"})
        remote.rm("/pruned/tiny/2", recursive=True)
        await until(lambda: [told.state for told in lineup.versions()] == ["champion"])
        await until(lambda: not remote.find("/pruned/tiny/2"))
        await asyncio.sleep(0.1)
        await lineup.stop()
        return both, downloads(), lineup.status().version

    assert asyncio.run(follow()) == ({"1", "2"}, {"2"}, 2)


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """A remote filesystem that fails each download with `fault`, if there is one."""

    protocol = "flaky"
    fault: ClassVar[Exception | None] = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("flaky://", "memory://")))

    def get(self, *arguments: object, **options: object) -> None:
        if self.fault is not None:
            raise self.fault
        super().get(*arguments, **options)


class ThrottledError(Exception):
    """As the libraries behind remote filesystems have their own."""


@pytest.mark.parametrize("fault", [OSError("reset"), MemoryError("full"), ThrottledError("slow down")])
def test_a_version_that_cannot_be_fetched_for_now_is_fetched_later(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    url = f"flaky://{type(fault).__name__}"

    async def follow() -> tuple[ModelStatus, list[VersionStatus]]:
        upload(url, shelf / "1")
        monkeypatch.setattr(FlakyFileSystem, "fault", fault)
        lineup = line_up_of(url, tmp_path)
        await lineup.start()
        await until(lambda: lineup.status().state == "failed")
        failed = lineup.status(), lineup.versions()
        monkeypatch.setattr(FlakyFileSystem, "fault", None)
        await until(lambda: lineup.status().state == "ready")
        await lineup.stop()
        return failed

    status, told = asyncio.run(follow())

    assert f"Received: {type(fault).__name__}: {fault}" in status.reason
    assert told == [VersionStatus(1, "available", "")]
