from pathlib import Path

import pytest

from models.repository import Repository
from service.challenger import Challenger
from service.errors import NotReadyError, OverloadedError
from service.inference import Inferences
from service.lineup import LineUp
from service.metrics import Metrics
from service.open_inference_catalogue import Asked, Catalogue
from service.settings import Settings
from tests.service.live_models import live_model

SETTINGS = Settings(model="tiny")
ANYONE = Asked("tiny")


@pytest.fixture
def lineup() -> LineUp:
    return LineUp(SETTINGS, Metrics())


@pytest.fixture
def inferences(lineup: LineUp) -> Inferences:
    return Inferences(lineup, Catalogue(SETTINGS, lineup))


def test_whoever_asks_for_a_version_is_answered_by_it(lineup: LineUp, inferences: Inferences, repository: Path) -> None:
    manifest = Repository(repository).open("tiny").manifest
    lineup._follower.champion = champion = live_model(manifest, version=1)
    theirs = live_model(manifest, version=2)
    lineup._follower.challenger = Challenger(theirs, SETTINGS, Metrics())

    assert inferences.pair(ANYONE).champion is inferences.pair(Asked("tiny", "1")).champion is champion
    assert inferences.pair(Asked("tiny", "2")).champion is theirs


def test_successes_and_failures_are_counted_with_the_version(
    lineup: LineUp, inferences: Inferences, repository: Path
) -> None:
    lineup._follower.champion = live_model(Repository(repository).open("tiny").manifest, version=1)
    statistics = lineup._follower.champion.statistics

    with inferences.counted(ANYONE):
        assert statistics.last_answer_at == 0
    with pytest.raises(OverloadedError), inferences.counted(ANYONE):
        raise OverloadedError("Expected less. Received: too much.", "turn")

    assert (statistics.success.count, statistics.fail.count) == (1, 1)
    assert statistics.last_answer_at > 1e9


def test_what_nobody_can_answer_is_refused_before_its_block(inferences: Inferences) -> None:
    with pytest.raises(NotReadyError), inferences.counted(ANYONE):
        pytest.fail("The block began.")
