import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models.manifest import Manifest
from service.errors import NotReadyError, OverloadedError
from service.lineup import LineUp
from service.metrics import Metrics
from service.settings import SettingsError
from service.versions import ModelStatus
from tests.service.lineups import (
    change_golden,
    edit_manifest,
    encoded,
    encoded_examples,
    flip_a_weight,
    load,
    settings_for,
    wait_while_loading,
)


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


def test_answers_the_golden_examples_once_ready(ready: LineUp, runner: asyncio.Runner) -> None:
    champion = ready.champion()
    examples = champion.manifest.golden_examples

    scores = runner.run(champion.score(encoded_examples(champion), None))

    np.testing.assert_allclose(scores.risk, [example.risk for example in examples], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        scores.auxiliary_risk, [example.auxiliary_risk for example in examples], rtol=0, atol=1e-6
    )


def test_says_what_is_served_once_ready(ready: LineUp, repository: Path) -> None:
    manifest = Manifest.read(repository / "tiny" / "1" / "manifest.json")

    assert ready.status() == ModelStatus("tiny", 1, "ready", "", manifest)
    assert (ready.name, ready.fatal) == ("tiny", None)


@pytest.mark.usefixtures("ready")
def test_measures_the_version(metrics: Metrics) -> None:
    def sample(name: str, labels: dict[str, str] | None = None) -> float:
        return metrics.registry.get_sample_value(name, labels) or 0.0

    assert sample("seqrisk_model_ready") == 1
    assert sample("seqrisk_model_info", {"name": "tiny", "version": "1"}) == 1
    assert sample("seqrisk_model_load_seconds") > 0


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


def add_a_file(version: Path) -> None:
    (version / "notes.txt").write_text("not in the manifest")


def remove_a_file(version: Path) -> None:
    (version / "saved_model.pb").unlink()


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
