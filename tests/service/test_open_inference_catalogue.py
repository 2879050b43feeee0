from pathlib import Path

import pytest

from models.repository import Repository
from service.errors import NotReadyError, UnknownModelError
from service.lineup import LineUp
from service.metrics import Metrics
from service.open_inference_catalogue import Asked, Catalogue
from service.settings import Settings
from service.versions import VersionStatus
from tests.service.live_models import live_model

SETTINGS = Settings(model="tiny", max_sequences=77)


@pytest.fixture
def lineup() -> LineUp:
    return LineUp(SETTINGS, Metrics())


@pytest.fixture
def catalogue(lineup: LineUp) -> Catalogue:
    return Catalogue(SETTINGS, lineup)


def test_nothing_is_told_of_a_model_that_is_still_being_loaded(catalogue: Catalogue) -> None:
    with pytest.raises(NotReadyError):
        catalogue.model(Asked("tiny"))
    assert catalogue.statistics(None).model_stats == []
    assert catalogue.index(only_ready=False) == []


def test_another_model_is_unknown_even_while_nothing_answers(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownModelError, match="unknown model: 'other' is not found"):
        catalogue.find(Asked("other"))


def test_a_version_that_is_being_loaded_is_worth_another_question(lineup: LineUp, catalogue: Catalogue) -> None:
    lineup._follower.loading = VersionStatus(3, "loading", "Compiling.")

    with pytest.raises(NotReadyError, match=r"Compiling\."):
        catalogue.find(Asked("tiny", "3"))
    assert [entry.state for entry in catalogue.index(only_ready=False)] == ["LOADING"]
    assert catalogue.index(only_ready=True) == []


def test_the_version_asked_for_is_the_one_that_is_found(lineup: LineUp, catalogue: Catalogue, repository: Path) -> None:
    manifest = Repository(repository).open("tiny").manifest
    lineup._follower.champion = champion = live_model(manifest, version=5)

    assert catalogue.find(Asked("tiny")) is catalogue.find(Asked("tiny", "5")) is champion
    assert catalogue.model(Asked("tiny")).versions == ["5"]
    assert catalogue.config(Asked("tiny")).max_batch_size == 77
    for version in ("4", "05", "latest", "5" * 500):
        with pytest.raises(UnknownModelError, match="Expected one that answers: 5"):
            catalogue.find(Asked("tiny", version))
