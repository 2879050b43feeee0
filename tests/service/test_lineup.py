import asyncio
import gc
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.manifest import Manifest
from models.sequences import EncodedBatch, encode
from service.errors import NotReadyError, OverloadedError
from service.lineup import LineUp, LiveModel, ModelStatus
from service.metrics import Metrics
from service.settings import Settings, SettingsError


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="module")
def ready(repository: Path, runner: asyncio.Runner, metrics: Metrics) -> Iterator[LineUp]:
    lineup = LineUp(settings_for(repository), metrics)
    runner.run(lineup.start())
    wait_while_loading(lineup)
    yield lineup
    runner.run(lineup.stop())


def settings_for(repository: Path, **chosen: str | int) -> Settings:
    return Settings.model_validate(
        {"repository": str(repository), "device": "cpu", "slots": 2, "max_batch": 2, **chosen}
    )


def wait_while_loading(lineup: LineUp) -> None:
    while lineup.status().state == "loading":
        time.sleep(0.01)


def load(settings: Settings) -> tuple[LineUp, ModelStatus]:
    lineup = LineUp(settings, Metrics())
    asyncio.run(lineup.start())
    wait_while_loading(lineup)
    return lineup, lineup.status()


def encoded(champion: LiveModel, *lengths: int) -> EncodedBatch:
    return encode(
        [("New/P3",) * length for length in lengths],
        [tuple(range(length - 1, -1, -1)) for length in lengths],
        champion.vocabulary,
        champion.manifest.max_events,
    )


def test_answers_the_golden_examples_once_ready(ready: LineUp, runner: asyncio.Runner) -> None:
    champion = ready.champion()
    examples = champion.manifest.golden_examples
    batch = encode(
        [example.event_types for example in examples],
        [example.elapsed_minutes for example in examples],
        champion.vocabulary,
        champion.manifest.max_events,
    )

    scores = runner.run(champion.score(batch, None))

    np.testing.assert_allclose(scores.risk, [example.risk for example in examples], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        scores.auxiliary_risk, [example.auxiliary_risk for example in examples], rtol=0, atol=1e-6
    )


def test_says_what_is_served_once_ready(ready: LineUp, repository: Path) -> None:
    manifest = Manifest.read(repository / "tiny" / "1" / "manifest.json")

    assert ready.status() == ModelStatus("tiny", 1, "ready", "", manifest)
    assert (ready.name, ready.fatal) == ("tiny", None)


def test_measures_the_version_and_its_batches(ready: LineUp, runner: asyncio.Runner, metrics: Metrics) -> None:
    def sample(name: str, labels: dict[str, str] | None = None) -> float:
        return metrics.registry.get_sample_value(name, labels) or 0.0

    batches_before = sample("seqrisk_batch_sequences_count")
    runner.run(ready.champion().score(encoded(ready.champion(), 3), None))

    assert sample("seqrisk_model_ready") == 1
    assert sample("seqrisk_model_info", {"name": "tiny", "version": "1"}) == 1
    assert sample("seqrisk_model_load_seconds") > 0
    assert sample("seqrisk_batch_sequences_count") == batches_before + 1
    assert sample("seqrisk_batch_padding_ratio_count") == batches_before + 1


def test_no_request_ever_compiles(ready: LineUp, runner: asyncio.Runner, metrics: Metrics) -> None:
    def num_compiled() -> float | None:
        return metrics.registry.get_sample_value("seqrisk_compiles_total")

    num_warm = num_compiled()
    champion = ready.champion()
    for length in range(1, 2 * champion.manifest.max_events):
        for rows in range(1, 6):
            runner.run(champion.score(encoded(champion, *[length] * rows), None))

    assert num_compiled() == num_warm == 4


def test_the_collector_no_longer_walks_what_was_loaded(ready: LineUp) -> None:
    assert ready.status().state == "ready"
    assert gc.get_freeze_count() > 10_000


def test_starting_returns_while_the_model_is_loading(repository: Path) -> None:
    async def ask_at_once() -> tuple[ModelStatus, NotReadyError]:
        lineup = LineUp(settings_for(repository), Metrics())
        await lineup.start()
        with pytest.raises(NotReadyError) as refusal:
            lineup.champion()
        status = lineup.status()
        await lineup.stop()
        return status, refusal.value

    status, refusal = asyncio.run(ask_at_once())

    assert status.state == "loading"
    assert "loading" in refusal.message


def test_stopping_gives_up_loading(repository: Path) -> None:
    async def start_and_stop() -> LineUp:
        lineup = LineUp(settings_for(repository), Metrics())
        await lineup.start()
        await lineup.stop()
        return lineup

    lineup = asyncio.run(start_and_stop())
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join()

    assert lineup.status().state == "loading"
    with pytest.raises(NotReadyError):
        lineup.champion()


def test_nothing_is_accepted_after_stopping(repository: Path) -> None:
    async def score_after_stop() -> None:
        champion = lineup.champion()
        await lineup.stop()
        await champion.score(encoded(champion, 1), None)

    lineup, _ = load(settings_for(repository, max_batch=1))

    with pytest.raises(OverloadedError):
        asyncio.run(score_after_stop())


def flip_a_weight(version: Path) -> None:
    path = next((version / "variables").glob("variables.data*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def add_a_file(version: Path) -> None:
    (version / "notes.txt").write_text("not in the manifest")


def remove_a_file(version: Path) -> None:
    (version / "saved_model.pb").unlink()


def edit_manifest(edit: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def tamper(version: Path) -> None:
        path = version / "manifest.json"
        manifest = json.loads(path.read_bytes())
        edit(manifest)
        path.write_text(json.dumps(manifest))

    return tamper


def change_golden(output: str) -> Callable[[Path], None]:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["golden_examples"][1][output] += 0.001

    return edit_manifest(edit)


def rename_version(version: Path) -> None:
    version.rename(version.parent / "2")


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (flip_a_weight, r"SHA-256 .* for variables/variables\.data"),
        (add_a_file, r"Received also: notes\.txt"),
        (remove_a_file, r"the file saved_model\.pb .* no such file"),
        (edit_manifest(lambda manifest: manifest.pop("max_events")), r"max_events: Field required"),
        (edit_manifest(lambda manifest: manifest.update(colour="red")), r"colour: Extra inputs"),
        (change_golden("risk"), r"Expected risk .* golden example 2 of tiny version 1"),
        (change_golden("auxiliary_risk"), r"Expected auxiliary_risk .* golden example 2 of tiny version 1"),
        (rename_version, r"the manifest of tiny version 2 .* that of tiny version 1"),
    ],
)
def test_a_tampered_artifact_never_becomes_ready_and_the_reason_is_named(
    repository: Path, tmp_path: Path, tamper: Callable[[Path], None], reason: str
) -> None:
    shutil.copytree(repository, tmp_path, dirs_exist_ok=True)
    tamper(tmp_path / "tiny" / "1")

    lineup, status = load(settings_for(tmp_path, max_batch=1))

    assert status.state == "failed"
    with pytest.raises(NotReadyError, match=reason):
        lineup.champion()
    assert lineup.fatal is None


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"model": "other"}, r"SEQRISK_MODEL .* a model named 'other' .* models tiny"),
        ({"version": 3}, r"SEQRISK_VERSION: .* version 3 of 'tiny' .* versions \[1\]"),
        ({"device": "gpu"}, r"SEQRISK_DEVICE: .* GPU"),
    ],
)
def test_settings_that_can_never_work_are_fatal(repository: Path, chosen: dict[str, str | int], sentence: str) -> None:
    lineup, status = load(settings_for(repository, **chosen))

    assert status.state == "failed"
    with pytest.raises(SettingsError, match=sentence):
        raise lineup.fatal or AssertionError


def test_several_models_and_none_chosen_is_fatal_and_names_them(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "tiny", tmp_path / "tiny")
    shutil.copytree(repository / "tiny", tmp_path / "small")

    lineup, _ = load(settings_for(tmp_path))

    assert "SEQRISK_MODEL" in str(lineup.fatal)
    assert "small, tiny" in str(lineup.fatal)


def test_an_empty_repository_is_fatal(tmp_path: Path) -> None:
    lineup, _ = load(settings_for(tmp_path))

    assert "no model in" in str(lineup.fatal)
