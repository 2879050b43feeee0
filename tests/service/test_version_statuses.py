from dataclasses import replace

import pytest

from service.errors import NotReadyError, UnknownModelError
from service.lineup import LineUp
from service.metrics import Metrics
from service.settings import Settings
from service.version_statuses import version_statuses
from service.versions import VersionStatus


@pytest.fixture
def lineup() -> LineUp:
    """It knows versions 1 to 3 of `tiny`, and loads version 2."""
    lineup = LineUp(Settings(), Metrics())
    lineup._follower.status = replace(lineup._follower.status, name="tiny")
    lineup._follower.versions.update([1, 2, 3], str)
    lineup._follower.versions.refuse(3, "It is bad.", "3")
    lineup._follower.loading = VersionStatus(2, "loading", "Compiling.")
    return lineup


def test_versions_that_nobody_asked_to_load_are_left_out(lineup: LineUp) -> None:
    statuses = version_statuses(lineup, "tiny")

    assert [(status.version, status.state) for status in statuses] == [("2", "LOADING"), ("3", "END")]
    assert statuses[1].status.error_message == "It is bad."


def test_another_model_is_unknown_in_tensorflow_servings_words(lineup: LineUp) -> None:
    with pytest.raises(UnknownModelError, match="Could not find any versions of model other"):
        version_statuses(lineup, "other")


def test_before_the_name_is_known_nothing_is_unknown() -> None:
    with pytest.raises(NotReadyError):
        version_statuses(LineUp(Settings(), Metrics()), "tiny")
