import asyncio

import pytest
from fastapi import FastAPI
from starlette.routing import Match

from service.errors import MalformedPathError, UnknownModelError
from service.lineup import LineUp
from service.metrics import Metrics
from service.settings import Settings
from service.tensorflow_serving_targets import CaselessRoute, Target, find
from tests.service.live_models import live_model, manifest


async def _endpoint() -> None:
    """Called by nobody."""


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("/v1/models/tiny/versions/1:predict", True),
        ("/V1/MODELS/tiny/Versions/1:PREDICT", True),
        ("/v1/models/tiny/versions/1:classify", False),
        ("/v2/models/tiny/versions/1:predict", False),
    ],
)
def test_the_words_of_a_path_come_in_any_case(path: str, matches: bool) -> None:
    route = CaselessRoute("/v1/models/{name}/versions/{version}:predict", _endpoint, methods=["POST"])

    match, _ = route.matches({"type": "http", "method": "POST", "path": path, "app": FastAPI()})

    assert (match == Match.FULL) == matches


def test_a_target_is_named_as_tensorflow_serving_names_it() -> None:
    assert str(Target("tiny")) == "Latest(tiny)"
    assert str(Target("tiny", version=5)) == "Specific(tiny, 5)"


def test_without_a_challenger_its_labels_mean_nothing() -> None:
    async def ask() -> None:
        lineup = LineUp(Settings(model="tiny"), Metrics())
        lineup._follower.champion = live_model(manifest(), version=1)
        assert find(lineup, Target("tiny", label="stable")) is lineup._follower.champion
        with pytest.raises(MalformedPathError, match="Unrecognized servable version label: canary"):
            find(lineup, Target("tiny", label="canary"))
        with pytest.raises(UnknownModelError, match=r"Specific\(tiny, 2\)"):
            find(lineup, Target("tiny", version=2))

    asyncio.run(ask())
